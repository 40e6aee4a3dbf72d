package bench

import (
	"slices"
	"testing"
)

func TestWhatIsToldOfSeveralRoundsIsTheMedian(t *testing.T) {
	of := func(value, load float64, note string) Result {
		return Result{
			Scenario: "auth", Server: "node", Load: load, Figures: []Figure{{Key: "a", Value: value}},
			Notes: []string{"always", note}, Profiles: []string{note},
		}
	}
	broken := of(5, 3, "second")
	broken.Figures = append(broken.Figures, Figure{Key: "only here", Value: 8})
	broken.Error = "broken off"
	got := medianOf([]Result{of(9, 1, "first"), broken, of(7, 2, "second")})
	if f := got.Figure("a"); f == nil || f.Value != 7 || !slices.Equal(f.Rounds, []float64{9, 5, 7}) {
		t.Errorf("got %+v, want 7 of 9, 5 and 7", f)
	}
	if f := got.Figure("only here"); f == nil || f.Value != 8 || f.Rounds != nil {
		t.Errorf("got %+v, want 8", f)
	}
	if got.Load != 2 || got.Error != "broken off" || !slices.Equal(got.Notes, []string{"always", "first", "second"}) || len(got.Profiles) != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestTheMedianOfTwoLiesBetweenThem(t *testing.T) {
	got := medianOf([]Result{{Figures: []Figure{{Key: "a", Value: 4}}}, {Figures: []Figure{{Key: "a", Value: 1}}}})
	if v := got.Figure("a").Value; v != 2.5 {
		t.Errorf("got %g", v)
	}
}
