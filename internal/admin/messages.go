package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/broker"
	"github.com/fleetline/fleetline/internal/directory"
)

const (
	messagesPath = "/v1/messages"
	// historyBytes is about how much data a history holds; messages are asked for historyStep at a
	// time until it is reached.
	historyBytes = 4 << 20
	historyStep  = 32
)

// Publisher is the log as this door needs it; *broker.Broker is one.
type Publisher interface {
	// Epoch names the log's present life.
	Epoch() string
	// Publish returns when the message is stored.
	Publish(ctx context.Context, m broker.Message) (broker.Receipt, error)
	// PublishAsync starts a Publish; messages are stored in the order of the calls.
	PublishAsync(ctx context.Context, m broker.Message) (*broker.Pending, error)
	// PublishLive hands a message to whoever is connected.
	PublishLive(ctx context.Context, m broker.Message) (broker.Receipt, error)
	// History reads what is kept for one machine after a position, oldest first; after reached comes
	// the rest.
	History(ctx context.Context, machine, account string, after uint64, limit int) (entries []*broker.Entry, reached uint64, err error)
}

type historyQuery struct {
	ID    string `path:"id" doc:"The machine's id."`
	After uint64 `query:"after" doc:"Only messages after this position."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (a *Admin) messageRoutes(d *document) {
	publish := register(a, d, route{
		id: "publish", method: http.MethodPost, path: messagesPath, status: http.StatusOK,
		summary: "Publish a message; or, as " + api.StreamType + ", one message a line, each answered by one line in order.",
		maxBody: int64(a.cfg.MaxFrame) + envelope, tooLarge: api.CodeDataTooLarge,
		middleware: huma.Middlewares{a.streams},
	}, a.publish)
	describeBody[api.Message](d, publish, true)
	publish.RequestBody.Content[api.StreamType] = &huma.MediaType{Schema: schemaOf[api.Message](d.huma)}
	publish.Responses["200"].Content[api.StreamType] = &huma.MediaType{Schema: schemaOf[api.Result](d.huma)}
	register(a, d, route{
		id: "history", method: http.MethodGet, path: machinesPath + "/{id}/messages", status: http.StatusOK,
		summary: "Read what is kept for one machine: its own messages, its account's and those for all.",
	}, a.history)
}

func (a *Admin) publish(ctx context.Context, in *body) (*answer[api.Receipt], error) {
	m, err := decodeMessage(in.RawBody, a.cfg.MaxFrame)
	if err != nil {
		return nil, err
	}
	if err := a.checkTargets(ctx, []api.Target{m.To})[0]; err != nil {
		return nil, err
	}
	publish := a.cfg.Publisher.Publish
	if m.Mode == api.Live {
		publish = a.cfg.Publisher.PublishLive
	}
	r, err := publish(ctx, forBroker(m))
	if err != nil {
		return nil, err
	}
	return &answer[api.Receipt]{receipt(r)}, nil
}

func forBroker(m api.Message) broker.Message {
	return broker.Message{
		Target: broker.Target{Machine: m.To.Machine, Account: m.To.Account},
		Data:   m.Data,
		ID:     m.ID,
		TTL:    time.Duration(m.TTLSeconds) * time.Second,
	}
}

func receipt(r broker.Receipt) api.Receipt {
	return api.Receipt{ID: r.ID, Epoch: r.Epoch, Seq: r.Seq, Duplicate: r.Duplicate}
}

// publishProblem names an error of the broker; the code is empty for an error of something else.
func publishProblem(err error) (api.Code, string) {
	switch {
	case errors.Is(err, broker.ErrFull):
		return api.CodeStoreFull, "the log is full"
	case errors.Is(err, broker.ErrTooLarge):
		return api.CodeDataTooLarge, "the message is larger than the log takes"
	case errors.Is(err, broker.ErrUnavailable), errors.Is(err, broker.ErrClosed):
		return api.CodeBrokerUnavailable, "the log does not answer"
	}
	return "", ""
}

// checkTargets answers for each target whether a message may go there: nothing is stored for a
// machine or an account that does not exist. It asks the directory once for all of them.
func (a *Admin) checkTargets(ctx context.Context, targets []api.Target) []error {
	var machines, accounts []string
	for _, t := range targets {
		if t.Machine != "" {
			machines = append(machines, t.Machine)
		}
		if t.Account != "" {
			accounts = append(accounts, t.Account)
		}
	}
	byMachine := a.findMachines(ctx, machines)
	byAccount := a.findAccounts(ctx, accounts)
	problems := make([]error, len(targets))
	for i, t := range targets {
		switch {
		case t.Machine != "":
			problems[i] = byMachine[t.Machine]
		case t.Account != "":
			problems[i] = byAccount[t.Account]
		}
	}
	return problems
}

// findMachines holds an error for each id that cannot be published to.
func (a *Admin) findMachines(ctx context.Context, ids []string) map[string]error {
	if len(ids) == 0 {
		return nil
	}
	problems := make(map[string]error, len(ids))
	ids = unique(ids)
	for i, found := range a.checkMachines(ctx, ids)[:len(ids)] {
		_, problems[ids[i]] = machineIn(found)
	}
	return problems
}

func (a *Admin) findAccounts(ctx context.Context, ids []string) map[string]error {
	if len(ids) == 0 {
		return nil
	}
	problems := make(map[string]error, len(ids))
	ids = unique(ids)
	answers := a.cfg.Accounts.Check(ctx, ids)
	for i, id := range ids {
		verdict := directory.Unavailable
		if i < len(answers) {
			verdict = answers[i].Verdict
		}
		switch verdict {
		case directory.Found:
		case directory.NotFound, directory.Deleted:
			problems[id] = accountProblem(directory.ErrNotFound)
		default:
			problems[id] = directory.ErrUnavailable
		}
	}
	return problems
}

// unique drops what stands in ids twice, in place.
func unique(ids []string) []string {
	if len(ids) == 1 {
		return ids
	}
	seen := make(map[string]bool, len(ids))
	kept := ids[:0]
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			kept = append(kept, id)
		}
	}
	return kept
}

// history reads step by step, because a thousand messages may be a thousand megabytes.
func (a *Admin) history(ctx context.Context, in *historyQuery) (*answer[api.History], error) {
	m, err := machineIn(a.checkMachines(ctx, []string{in.ID})[0])
	if err != nil {
		return nil, err
	}
	h := api.History{Epoch: a.cfg.Publisher.Epoch(), Messages: []api.StoredMessage{}}
	size := 0
	for at, more := in.After, true; more && len(h.Messages) < in.Limit && size < historyBytes; {
		want := min(in.Limit-len(h.Messages), historyStep)
		entries, reached, err := a.cfg.Publisher.History(ctx, m.ID, m.AccountID, at, want)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			size += len(e.Data())
			h.Messages = append(h.Messages, storedMessage(e))
		}
		at, h.Next = reached, reached
		if more = len(entries) == want; !more {
			h.Next = 0
		}
	}
	return &answer[api.History]{h}, nil
}

func storedMessage(e *broker.Entry) api.StoredMessage {
	to := api.Target{Machine: e.Target.Machine, Account: e.Target.Account}
	to.All = to == api.Target{}
	return api.StoredMessage{Seq: e.Seq, ID: e.ID, To: to, Data: e.Data()}
}

var _ Publisher = (*broker.Broker)(nil)
