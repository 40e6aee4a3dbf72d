package wire

// Code is a stable word for programs. The same words name close codes and fill the "code" field of
// auth_failed and error frames.
type Code string

// Codes of error frames that have no close code of their own.
const (
	CodeBadFrame             Code = "bad_frame"             // not JSON, not an object, a field missing, repeated or mistyped
	CodeNotAuthenticated     Code = "not_authenticated"     // a frame other than auth came first
	CodeAlreadyAuthenticated Code = "already_authenticated" // a second auth on one session
	CodeUnsupported          Code = "unsupported"           // a frame this gateway does not serve yet
	CodeNotText              Code = "not_text"              // a binary frame
	CodeTooBig               Code = "too_big"               // a frame over the limit; never in a frame, it names close 1009
	CodeDrain                Code = "drain"                 // the gateway is going away: come back
)

// Codes that also close: each has the close code of the same name.
const (
	CodeAuthTimeout          Code = "auth_timeout"
	CodeSilent               Code = "silent"
	CodeRateLimited          Code = "rate_limited"
	CodeTooManyConnections   Code = "too_many_connections"
	CodeDirectoryUnavailable Code = "directory_unavailable"
	CodeBadToken             Code = "bad_token"
	CodeBacklogTooOld        Code = "backlog_too_old"
	CodeHeld                 Code = "held"
	CodeMachineDeleted       Code = "machine_deleted"
	CodeBadKey               Code = "bad_key"
	CodeProtocol             Code = "protocol"
)

// CloseCode is a WebSocket close code (RFC 6455 7.4). It says two things: why, and whether to come
// back: 4000-4499 come back, 4500-4999 never come back as you are.
type CloseCode uint16

// Close codes of RFC 6455 7.4.1 that a gateway uses.
const (
	CloseNormal      CloseCode = 1000
	CloseProtocolWS  CloseCode = 1002 // the WebSocket framing itself was broken
	CloseUnsupported CloseCode = 1003 // a binary frame
	CloseNotUTF8     CloseCode = 1007
	CloseTooBig      CloseCode = 1009
	CloseRestart     CloseCode = 1012 // reason "drain; retryAfterMs=N"
)

// Close codes of Fleetline.
const (
	CloseAuthTimeout          CloseCode = 4000
	CloseSilent               CloseCode = 4001
	CloseRateLimited          CloseCode = 4002
	CloseTooManyConnections   CloseCode = 4003
	CloseDirectoryUnavailable CloseCode = 4004
	CloseBadToken             CloseCode = 4005 // come back with the key
	CloseBacklogTooOld        CloseCode = 4006
	CloseHeld                 CloseCode = 4007 // access waits for proof: keep the key
	CloseMachineDeleted       CloseCode = 4500
	CloseBadKey               CloseCode = 4501
	CloseProtocol             CloseCode = 4503
)

// Terminal tells whether a client that was closed with c must not come back as it is.
func (c CloseCode) Terminal() bool { return c >= 4500 && c <= 4999 }

// Code is c's stable word; it is empty for codes that Fleetline does not name.
func (c CloseCode) Code() Code {
	switch c {
	case CloseNotUTF8, CloseProtocolWS:
		return CodeBadFrame
	case CloseUnsupported:
		return CodeNotText
	case CloseTooBig:
		return CodeTooBig
	case CloseRestart:
		return CodeDrain
	case CloseAuthTimeout:
		return CodeAuthTimeout
	case CloseSilent:
		return CodeSilent
	case CloseRateLimited:
		return CodeRateLimited
	case CloseTooManyConnections:
		return CodeTooManyConnections
	case CloseDirectoryUnavailable:
		return CodeDirectoryUnavailable
	case CloseBadToken:
		return CodeBadToken
	case CloseBacklogTooOld:
		return CodeBacklogTooOld
	case CloseHeld:
		return CodeHeld
	case CloseMachineDeleted:
		return CodeMachineDeleted
	case CloseBadKey:
		return CodeBadKey
	case CloseProtocol:
		return CodeProtocol
	}
	return ""
}

// Texts that are fixed to the letter: clients in the field compare them.
const (
	TextAuthenticated  = "Authentication successful"
	TextInvalidKey     = "Invalid API Key"
	TextMachineDeleted = "Your machine has been deleted. Please re-authenticate."
)
