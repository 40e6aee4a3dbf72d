package admin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fleetline/fleetline/api"
	"github.com/fleetline/fleetline/internal/directory"
)

func TestAnAccountLivesFromItsKeyToItsDeletion(t *testing.T) {
	d, ctx := openDoor(t), t.Context()
	k, err := d.AddAccount(ctx, "Ünïted")
	if err != nil || k.ID == "" || k.Name != "Ünïted" || !strings.HasPrefix(string(k.APIKey), "flk_") {
		t.Fatalf("got %+v and %v", k, err)
	}
	opens := func(key api.Key) bool {
		return d.dir.Accounts().Lookup(ctx, []directory.Key{directory.Key(key)})[0].Verdict == directory.Found
	}
	if !opens(k.APIKey) {
		t.Error("the key that was shown does not open the account")
	}
	list, err := d.Accounts(ctx)
	if err != nil || len(list) != 1 || list[0].ID != k.ID || list[0].Name != k.Name || time.Since(list[0].CreatedAt) > time.Minute {
		t.Errorf("the list is %+v and %v", list, err)
	}
	graceful, err := d.RotateKey(ctx, k.ID, time.Minute)
	if err != nil || graceful.ID != k.ID || graceful.APIKey == k.APIKey || !opens(graceful.APIKey) || !opens(k.APIKey) {
		t.Errorf("rotating with a grace: %+v and %v; the old key opens: %v", graceful, err, opens(k.APIKey))
	}
	sharp, err := d.RotateKey(ctx, k.ID, 0)
	if err != nil || !opens(sharp.APIKey) || opens(k.APIKey) {
		t.Errorf("rotating without a grace: %v; the first key opens: %v", err, opens(k.APIKey))
	}
	machine := d.enrol(sharp, "h1")[0]
	if err := d.DeleteAccount(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Machine(ctx, machine); !errors.Is(err, api.CodeMachineNotFound) || opens(sharp.APIKey) {
		t.Errorf("after its account is deleted the machine is %v", err)
	}
	if _, err := d.RotateKey(ctx, k.ID, 0); !errors.Is(err, api.CodeAccountNotFound) {
		t.Errorf("rotating a deleted account: %v", err)
	}
	if list, err := d.Accounts(ctx); err != nil || len(list) != 0 {
		t.Errorf("after the deletion the list is %+v and %v", list, err)
	}
}

type sqlHint struct{}

func (sqlHint) Error() string { return "accounts are rows of your table" }
func (sqlHint) Hint() string  { return "DELETE FROM users WHERE id = ..." }
func (sqlHint) Unwrap() error { return directory.ErrManagedElsewhere }

func TestAccountsThatAreManagedElsewhereAnswerWithTheStatementToUse(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.AccountAdmin = failing{err: sqlHint{}} })
	_, add := d.AddAccount(t.Context(), "")
	_, rotate := d.RotateKey(t.Context(), "acc_1", 0)
	for _, err := range []error{add, rotate, d.DeleteAccount(t.Context(), "acc_1")} {
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.CodeManagedElsewhere || e.Status != 409 || e.Hint != (sqlHint{}).Hint() {
			t.Errorf("got %v", err)
		}
	}
}
