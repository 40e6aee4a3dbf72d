package broker

import (
	"encoding/base32"
	"net/url"
	"strings"
)

// A subject of the log is fl.<epoch>.<what>; ids stand in it encoded, because an id may be a
// wildcard or contain a dot. The stream captures all of these but live, which is for messages that
// are not stored:
//
//	m.<machine>  a.<account>  all  g.<group>   messages
//	lease.<node>  revoke                        what nodes tell each other
//	live.m.<machine>  live.a.<account>  live.all
const subjectRoot = "fl."

var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

func encodeID(id string) string { return idEncoding.EncodeToString([]byte(id)) }

func decodeID(token string) (id string, ok bool) {
	b, err := idEncoding.DecodeString(token)
	return string(b), err == nil && len(b) > 0
}

// suffix is t's part of a subject.
func (t Target) suffix() string {
	switch {
	case t.Machine != "":
		return "m." + encodeID(t.Machine)
	case t.Account != "":
		return "a." + encodeID(t.Account)
	}
	return "all"
}

const (
	suffixRevoke = "revoke"
	prefixLease  = "lease."
	prefixLive   = "live."
)

// captured are the subjects that a life's stream stores.
func captured(epoch string) []string {
	var s []string
	for _, what := range []string{"m.*", "a.*", "all", "g.*", prefixLease + "*", suffixRevoke} {
		s = append(s, subjectRoot+epoch+"."+what)
	}
	return s
}

// parseSubject takes a subject apart. A subject of another shape has ok false.
func parseSubject(subject string) (epoch, what string, ok bool) {
	rest, ok := strings.CutPrefix(subject, subjectRoot)
	if !ok {
		return "", "", false
	}
	epoch, what, ok = strings.Cut(rest, ".")
	return epoch, what, ok && epoch != "" && what != ""
}

// parseTarget reads what suffix wrote.
func parseTarget(what string) (t Target, ok bool) {
	if what == "all" {
		return Target{}, true
	}
	kind, token, _ := strings.Cut(what, ".")
	id, ok := decodeID(token)
	switch {
	case !ok:
	case kind == "m":
		return Target{Machine: id}, true
	case kind == "a":
		return Target{Account: id}, true
	}
	return Target{}, false
}

// messageID is what JetStream compares to find a duplicate: the publisher's id, apart for each
// target. It is also where the id is kept; escaped, because an id may contain anything.
func messageID(suffix, id string) string { return suffix + ":" + url.PathEscape(id) }

// publisherID reads the publisher's id back; what is not ours counts as none.
func publisherID(messageID string) string {
	_, escaped, ok := strings.Cut(messageID, ":")
	if !ok {
		return ""
	}
	id, err := url.PathUnescape(escaped)
	if err != nil || len(id) > maxID {
		return ""
	}
	return id
}
