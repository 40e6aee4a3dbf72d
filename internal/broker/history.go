package broker

import "context"

// historyBytes is how much of the log one question for a history brings.
const historyBytes = 1 << 20

// History lists, for operators, what a machine of an account is given after a position: at most
// limit messages, in order. Going on after reached gives the rest. What is gone is left out.
func (b *Broker) History(ctx context.Context, machine, account string, after uint64, limit int) (entries []*Entry, reached uint64, err error) {
	for reached = after; len(entries) < limit; {
		r := b.Read(ctx, []Request{{Target{Machine: machine, Account: account}, reached, historyBytes}})[0]
		if r.Err != nil {
			return nil, after, r.Err
		}
		entries = append(entries, r.Entries...)
		if r.Reached <= reached {
			break // the log's end
		}
		reached = r.Reached
	}
	if len(entries) > limit {
		entries = entries[:limit]
		reached = entries[limit-1].Seq
	}
	return entries, reached, nil
}
