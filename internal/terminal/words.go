package terminal

// Word names a text that people read. All of them stand in the one table below, in every language.
type Word int

// What connect says.
const (
	WordTagline Word = iota
	WordConnecting
	WordConnected
	WordWaiting
	WordClosed
	WordMachine
	WordHeartbeat
	WordHeartbeats
	WordLive
	WordGap
	WordNextAttempt
	WordOK
	WordNotice
	WordFail
	WordServer
	WordProxy
	WordTLS
	WordGateway
	WordClock
	WordState
	WordPlain
	WordTLSUntil
	WordTLSUnverified
	WordSpeaks
	WordOpens
	WordClockAhead
	WordClockBehind
	WordClockAdvice
	WordInKeyring
	WordInFile
	WordInsecure
	WordInsecureMore
	WordAskKey
	WordNoKey
	WordNoKeyAdvice
	WordNotAsked
	WordNoFolder
	WordDeleted
	WordDeletedCleared
	WordNotCleared
	WordDeletedAdvice
	WordBadKey
	WordBadKeyAdvice
	WordBadKeyStored
	WordProtocol
	WordExecFailed
	WordExecDone
	WordSecondTerminal
	WordHint
	words // how many there are
)

var texts = [words]text{
	WordTagline:    {"one live line to every machine", "与每一台机器保持在线"},
	WordConnecting: {"connecting", "正在连接"},
	WordConnected:  {"connected", "已连接"},
	WordWaiting:    {"waiting", "等待重连"},
	WordClosed:     {"closed", "已断开"},
	WordMachine:    {"machine %s", "机器 %s"},
	WordHeartbeat:  {"heartbeat", "心跳"},
	WordHeartbeats: {"heartbeat, %d in a row", "心跳，连续 %d 次"},
	WordLive:       {"live", "实时"},
	WordGap: {
		"gap: messages before #%d are gone and could not be recovered",
		"缺口：#%d 之前的消息已经不在，无法补回",
	},
	WordNextAttempt: {"%s; next attempt in %s", "%s；%s 后重试"},

	// The status check.
	WordOK:            {"ok", "正常"},
	WordNotice:        {"warn", "注意"},
	WordFail:          {"fail", "失败"},
	WordServer:        {"server", "服务器"},
	WordProxy:         {"proxy", "代理"},
	WordTLS:           {"TLS", "TLS"},
	WordGateway:       {"gateway", "网关"},
	WordClock:         {"clock", "时钟"},
	WordState:         {"state", "状态"},
	WordPlain:         {"none: the line is not encrypted", "无：连接未加密"},
	WordTLSUntil:      {"the certificate is trusted and good until %s", "证书可信，有效期至 %s"},
	WordTLSUnverified: {"the certificate is NOT checked", "证书未经验证！"},
	WordSpeaks:        {"it is there, and WebSockets reach it", "在线，WebSocket 可以到达"},
	WordOpens:         {"it takes WebSockets, but does not call itself Fleetline", "接受 WebSocket，但没有自称 Fleetline"},
	WordClockAhead:    {"this host's clock is %s ahead of the server's", "本机时钟比服务器快 %s"},
	WordClockBehind:   {"this host's clock is %s behind the server's", "本机时钟比服务器慢 %s"},
	WordClockAdvice: {
		"Set this host's clock (timedatectl set-ntp true): certificates and tokens are judged by it.",
		"请校准本机时钟（timedatectl set-ntp true）：证书和令牌的有效期都以它为准。",
	},
	WordInKeyring: {"kept in the system keyring", "保存在系统密钥环中"},
	WordInFile:    {"no system keyring answers here: kept in %s", "这里没有可用的系统密钥环：保存在 %s"},
	WordInsecure:  {"TLS IS NOT VERIFIED", "TLS 未经验证"},
	WordInsecureMore: {
		"Anybody on the way can read the API key and speak as the gateway. This is for development alone: use --ca FILE for a certificate of your own.",
		"途中的任何人都能读到 API 密钥并冒充网关。仅供开发使用：自签证书请改用 --ca FILE。",
	},

	// Keys and ends.
	WordAskKey: {"API key (it is not shown): ", "API 密钥（输入时不显示）："},
	WordNoKey:  {"there is no API key", "没有 API 密钥"},
	WordNoKeyAdvice: {
		"Set FLEETLINE_API_KEY, or start once in a terminal and type it",
		"设置环境变量 FLEETLINE_API_KEY，或在终端中启动一次并输入",
	},
	WordNotAsked: {"the server does not answer as a gateway, so no key was asked for", "服务器没有像网关那样应答，因此没有询问密钥"},
	WordNoFolder: {
		"there is no folder to keep the machine's identity in: name one with --state-dir",
		"没有可以保存机器身份的文件夹：请用 --state-dir 指定",
	},
	WordDeleted:        {"the machine has been deleted", "这台机器已被删除"},
	WordDeletedCleared: {"The stored API key and everything else kept for this machine are cleared.", "已清除为这台机器保存的 API 密钥和其他全部内容。"},
	WordNotCleared:     {"What is kept for this machine could NOT be cleared: %v.", "无法清除为这台机器保存的内容：%v。"},
	WordDeletedAdvice: {
		"Start again with a new API key. Was the deletion a mistake? After `fleetline machine readmit` on the server, start with --readmitted",
		"请用新的 API 密钥重新启动。若是误删：在服务器上执行 `fleetline machine readmit` 后，以 --readmitted 启动",
	},
	WordBadKey: {"the API key is not accepted", "API 密钥未被接受"},
	WordBadKeyAdvice: {
		"Ask whoever runs the gateway for the key of now (`fleetline account list`, `fleetline account rotate`) and check that it was copied whole",
		"请向网关的管理员索取当前的密钥（`fleetline account list`、`fleetline account rotate`），并确认复制完整",
	},
	WordBadKeyStored: {
		"Set FLEETLINE_API_KEY once to the key of now: it takes the place of the stored one",
		"将 FLEETLINE_API_KEY 设为当前的密钥启动一次：它会取代已保存的密钥",
	},
	WordProtocol: {"the gateway does not accept this client's protocol: a newer fleetline may be needed here", "网关不接受此客户端的协议：可能需要更新本机的 fleetline"},

	// Programs that messages are handed to.
	WordExecFailed:     {"the program did not take %s (%s); it is handed over again in %s", "程序没有处理 %s（%s）；%s 后再次交给它"},
	WordExecDone:       {"the program has taken %s", "程序已处理 %s"},
	WordSecondTerminal: {"In a second terminal:", "在另一个终端中："},
	WordHint:           {"hint: ", "提示："},
}
