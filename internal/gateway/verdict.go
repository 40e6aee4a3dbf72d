package gateway

import (
	"context"
	"time"

	"github.com/fleetline/fleetline/internal/directory"
	"github.com/fleetline/fleetline/internal/session"
	"github.com/fleetline/fleetline/wire"
)

func (g *Gateway) judgeBatch(ctx context.Context, batch []*applicant) {
	ctx, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	g.metrics.batches.Inc()
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
			g.isThere(subject{accountSubject, answers[i].Account.ID}, a.seen)
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
		g.admitEnrolled(found, wanted, g.view.machines.Enrol(ctx, wanted))
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
	for i, answer := range g.view.lookup(ctx, ask) {
		answers[at[i]] = answer
		if answer.Verdict == directory.NotFound {
			g.judge.rememberUnknown(ask[i].Digest())
		}
	}
	return answers
}

// judgeUnknown tells unknown keys whose machineId names a machine that was deleted, or whose account
// was, from all others.
func (g *Gateway) judgeUnknown(ctx context.Context, as []*applicant) {
	var ids []string
	var named []*applicant
	for _, a := range as {
		if a.auth.MachineID == "" {
			g.refuseKey(a)
			continue
		}
		ids = append(ids, a.auth.MachineID)
		named = append(named, a)
	}
	var left []*applicant
	var accounts []string
	for i, f := range g.view.machinesByID.ask(ctx, ids) {
		switch f.verdict {
		case directory.Found:
			left = append(left, named[i])
			accounts = append(accounts, f.answer.Machine.AccountID)
		case directory.Deleted:
			g.refuseFor(named[i], g.deletion(f.answer.Machine))
		case directory.Unavailable:
			g.refuse(named[i], wire.CodeDirectoryUnavailable, retryAfter())
		default:
			g.refuseKey(named[i])
		}
	}
	g.judgeLeft(ctx, left, accounts)
}

// judgeLeft judges machines that are there and came with a key that is unknown: their accounts were
// deleted, or have another key.
func (g *Gateway) judgeLeft(ctx context.Context, as []*applicant, accounts []string) {
	for i, f := range g.view.accountsByID.ask(ctx, accounts) {
		switch f.verdict {
		case directory.Found:
			g.refuseOtherKey(as[i], f.answer.Account)
		case directory.Unavailable:
			g.refuse(as[i], wire.CodeDirectoryUnavailable, retryAfter())
		default:
			g.refuseFor(as[i], g.absence(accounts[i], f))
		}
	}
}

// refuseOtherKey refuses a key that is not the account's. If it is after all, the row has come since
// the key was looked up.
func (g *Gateway) refuseOtherKey(a *applicant, account directory.Account) {
	if account.Opens(a.key().Digest()) {
		g.judge.forgetUnknown(a.key().Digest())
		g.refuse(a, wire.CodeDirectoryUnavailable, retryAfter())
		return
	}
	g.refuseKey(a)
}

func (g *Gateway) admitEnrolled(as []*applicant, wanted []directory.Enrolment, answers []directory.MachineAnswer) {
	greeter := newGreeter(g, len(as))
	defer greeter.flush()
	for i, a := range as {
		m := answers[i].Machine
		switch answers[i].Verdict {
		case directory.Found:
			if answers[i].New {
				g.tellEnrolled(a, m)
			}
			g.admit(a, session.Identity{Machine: m.ID, Account: m.AccountID, Key: wanted[i].Digest, Shared: m.Default}, greeter)
		case directory.Deleted:
			g.refuseFor(a, g.deletion(m))
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
	byAccount := g.view.accountsByID.ask(ctx, accounts)
	byMachine := g.view.machinesByID.ask(ctx, machines)
	greeter := newGreeter(g, len(as))
	defer greeter.flush()
	for i, a := range as {
		if code := g.judgeToken(a, byAccount[i], byMachine[i]); code != "" {
			g.refuseFor(a, code)
			continue
		}
		g.admit(a, session.Identity{
			Machine: a.claims.Machine, Account: a.claims.Account, Key: a.claims.Key,
			// What is not known is given the benefit of the doubt: a fleet may share this machine.
			Shared: byMachine[i].answer.Machine.Default || byMachine[i].verdict == directory.Unavailable,
		}, greeter)
	}
}

// judgeToken is empty when the token admits. While the directory is unavailable its signature and
// the tombstones alone decide; the sweep checks it first when the directory is back.
func (g *Gateway) judgeToken(a *applicant, account finding[directory.AccountAnswer], machine finding[directory.MachineAnswer]) wire.Code {
	switch {
	case machine.verdict == directory.Deleted:
		if account.verdict == directory.NotFound {
			g.absence(a.claims.Account, account) // its other machines are concerned, too
		}
		return g.deletion(machine.answer.Machine) // a record, which needs no proof
	case account.verdict == directory.NotFound, account.verdict == directory.Deleted:
		return g.absence(a.claims.Account, account)
	case account.verdict == directory.Found:
		g.isThere(subject{accountSubject, a.claims.Account}, a.seen)
	}
	switch {
	case g.refused.token(a.claims):
		return wire.CodeBadToken
	case machine.verdict == directory.NotFound:
		return wire.CodeBadToken // the key enrols it anew
	case account.verdict == directory.Found && !account.answer.Account.Opens(a.claims.Key):
		return wire.CodeBadToken // the key decides
	}
	if account.verdict == directory.Unavailable {
		g.view.admittedUnproven(a.claims.Account)
	}
	return ""
}

// deletion is what to say of a machine of which a record says that it was deleted.
func (g *Gateway) deletion(m directory.Machine) wire.Code {
	if g.held.isBraked(subject{machineSubject, m.ID}) || g.held.isBraked(subject{accountSubject, m.AccountID}) {
		return wire.CodeHeld
	}
	return wire.CodeMachineDeleted
}

// absence is what to say of an account that a read misses. A record of the deletion or an earlier
// report of it makes it a deletion; so does a credible answer, unless too much was deleted at once.
func (g *Gateway) absence(account string, f finding[directory.AccountAnswer]) wire.Code {
	s := subject{accountSubject, account}
	switch {
	case g.held.isBraked(s):
		return wire.CodeHeld
	case f.verdict == directory.Deleted, g.refused.isReported(s):
		return wire.CodeMachineDeleted
	case f.credible && g.isBelievable(s):
		g.tellDeleted(s, g.sessionsOf(s), time.Now())
		return wire.CodeMachineDeleted
	}
	g.held.add(s, whyUnproven, false)
	return wire.CodeHeld
}

// isBelievable tells whether one more absence that nobody reported may be believed beside all that is
// held. Not while too much was deleted at once: it may be part of the same mistake. And not while more
// than a fifth of the accounts would be missing: machines that come one by one must not be told what
// all of them together would not be.
func (g *Gateway) isBelievable(s subject) bool {
	if g.held.isBraking() {
		return false
	}
	absent := g.held.countWith(s)
	return s.kind != accountSubject || absent*5 <= absent+g.hub.AccountCount()
}

// whyUnproven is for people.
const whyUnproven = "the row is not there, but nobody reported its deletion, and the answer did not find enough others to be believed"

// isThere notes that a read found s which began when the refused set was at version: what was held or
// said of it before is over.
func (g *Gateway) isThere(s subject, version uint64) {
	if g.refused.isBack(s, version) {
		g.held.drop(s)
	}
}

// refuseFor refuses for what the directory says.
func (g *Gateway) refuseFor(a *applicant, code wire.Code) {
	var wait time.Duration
	if code == wire.CodeHeld {
		wait = retryAfter()
	}
	g.refuse(a, code, wait)
}
