package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/wire"
)

const (
	// judges is how many batches are with the directory at once.
	judges = 2
	// judgeBatch is the most applicants of one batch. While one batch is with the directory the next
	// gathers by itself, so a slow directory is asked less often, not later.
	judgeBatch = 512
	// judgeQueue bounds those who wait; more are told to come back.
	judgeQueue = 16384
	// judgeTimeout bounds one batch.
	judgeTimeout = 5 * time.Second
	// unknownFor is how long a key that was not found is remembered as unknown.
	unknownFor = 2 * time.Second
)

// judge asks the directory about applicants, many at a time.
type judge struct {
	queue chan *applicant

	mu sync.Mutex
	// Guarded by mu.
	unknown map[directory.Digest]time.Time
}

func newJudge() *judge {
	return &judge{queue: make(chan *applicant, judgeQueue), unknown: make(map[directory.Digest]time.Time)}
}

func (j *judge) submit(a *applicant) bool {
	select {
	case j.queue <- a:
		return true
	default:
		return false
	}
}

func (j *judge) run(ctx context.Context, g *Gateway) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-j.queue:
			g.judgeBatch(ctx, j.gather(a))
		}
	}
}

// gather adds whoever else is waiting already.
func (j *judge) gather(first *applicant) []*applicant {
	batch := []*applicant{first}
	for len(batch) < judgeBatch {
		select {
		case a := <-j.queue:
			batch = append(batch, a)
		default:
			return batch
		}
	}
	return batch
}

func (g *Gateway) judgeBatch(ctx context.Context, batch []*applicant) {
	ctx, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	var keys, tokens []*applicant
	seen := g.refused.version()
	for _, a := range batch {
		a.seen = seen
		if a.hasToken() {
			tokens = append(tokens, a)
		} else {
			keys = append(keys, a)
		}
	}
	if len(keys) > 0 {
		g.judgeKeys(ctx, keys)
	}
	if len(tokens) > 0 {
		g.judgeTokens(ctx, tokens)
	}
}

// judgeKeys looks the keys up, and then finds or enrols the machines of those that were found.
func (g *Gateway) judgeKeys(ctx context.Context, as []*applicant) {
	answers := g.lookup(ctx, as)
	var found, unknown []*applicant
	var wanted []directory.Enrolment
	for i, a := range as {
		switch answers[i].Verdict {
		case directory.Found:
			found = append(found, a)
			wanted = append(wanted, directory.Enrolment{
				AccountID: answers[i].Account.ID, Digest: a.key().Digest(), MachineID: a.auth.MachineID, Info: a.info(),
			})
		case directory.NotFound, directory.Deleted:
			unknown = append(unknown, a)
		default:
			g.refuse(a, wire.CodeDirectoryUnavailable, retryAfter())
		}
	}
	if len(found) > 0 {
		g.admitEnrolled(found, wanted, g.machines.Enrol(ctx, wanted))
	}
	if len(unknown) > 0 {
		g.judgeUnknown(ctx, unknown)
	}
}

// lookup asks the directory for keys that were not unknown a moment ago.
func (g *Gateway) lookup(ctx context.Context, as []*applicant) []directory.AccountAnswer {
	answers := make([]directory.AccountAnswer, len(as))
	var ask []directory.Key
	var at []int
	for i, a := range as {
		if g.judge.isUnknown(a.key().Digest()) {
			answers[i].Verdict = directory.NotFound
			continue
		}
		ask = append(ask, a.key())
		at = append(at, i)
	}
	if len(ask) == 0 {
		return answers
	}
	for i, answer := range g.accounts.Lookup(ctx, ask) {
		answers[at[i]] = answer
		if answer.Verdict == directory.NotFound {
			g.judge.rememberUnknown(ask[i].Digest())
		}
	}
	return answers
}

func (j *judge) isUnknown(d directory.Digest) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return time.Now().Before(j.unknown[d])
}

// rememberUnknown keeps a bounded number of keys: when there are too many, all are asked again.
func (j *judge) rememberUnknown(d directory.Digest) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.unknown) >= keysRemembered {
		clear(j.unknown)
	}
	j.unknown[d] = time.Now().Add(unknownFor)
}

// judgeUnknown tells unknown keys whose machineId names a deleted machine from all others.
func (g *Gateway) judgeUnknown(ctx context.Context, as []*applicant) {
	var ids []string
	var withID []*applicant
	for _, a := range as {
		if a.auth.MachineID == "" {
			g.refuseKey(a)
			continue
		}
		ids = append(ids, a.auth.MachineID)
		withID = append(withID, a)
	}
	if len(ids) == 0 {
		return
	}
	for i, answer := range g.machines.Check(ctx, ids) {
		switch answer.Verdict {
		case directory.Deleted:
			g.refuse(withID[i], wire.CodeMachineDeleted, 0)
		case directory.Unavailable:
			g.refuse(withID[i], wire.CodeDirectoryUnavailable, retryAfter())
		default:
			g.refuseKey(withID[i])
		}
	}
}

func (g *Gateway) admitEnrolled(as []*applicant, wanted []directory.Enrolment, answers []directory.MachineAnswer) {
	for i, a := range as {
		m := answers[i].Machine
		switch answers[i].Verdict {
		case directory.Found:
			g.admit(a, identity{machine: m.ID, account: m.AccountID, key: wanted[i].Digest, isDefault: m.Default})
		case directory.Deleted:
			g.refuse(a, wire.CodeMachineDeleted, 0)
		default:
			g.refuse(a, wire.CodeDirectoryUnavailable, retryAfter())
		}
	}
}

// judgeTokens checks tokens as keys are checked: the account still opens with the key's digest, and
// the machine is there.
func (g *Gateway) judgeTokens(ctx context.Context, as []*applicant) {
	accounts := make([]string, len(as))
	machines := make([]string, len(as))
	for i, a := range as {
		accounts[i], machines[i] = a.claims.Account, a.claims.Machine
	}
	byAccount := g.accounts.Check(ctx, accounts)
	byMachine := g.machines.Check(ctx, machines)
	for i, a := range as {
		verdict := g.judgeToken(a, byAccount[i], byMachine[i])
		if verdict != "" {
			g.refuse(a, verdict, verdictWait(verdict))
			continue
		}
		g.admit(a, identity{
			machine: a.claims.Machine, account: a.claims.Account, key: a.claims.Key,
			isDefault: byMachine[i].Machine.Default,
		})
	}
}

func verdictWait(code wire.Code) time.Duration {
	if code == wire.CodeHeld || code == wire.CodeDirectoryUnavailable {
		return retryAfter()
	}
	return 0
}

// judgeToken is empty when the token admits. While the directory is unavailable its signature and
// the tombstones alone decide; the sweep checks it first when the directory is back.
func (g *Gateway) judgeToken(a *applicant, account directory.AccountAnswer, machine directory.MachineAnswer) wire.Code {
	switch {
	case machine.Verdict == directory.Deleted || account.Verdict == directory.Deleted:
		return wire.CodeMachineDeleted
	case g.refused.token(a.claims):
		return wire.CodeBadToken
	case machine.Verdict == directory.NotFound:
		return wire.CodeBadToken // the key enrols it anew
	case account.Verdict == directory.NotFound:
		return wire.CodeHeld // an absence nobody reported is no proof
	case account.Verdict == directory.Found && !account.Account.Opens(a.claims.Key):
		return wire.CodeBadToken // the key decides
	}
	return ""
}
