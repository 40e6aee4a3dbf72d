package main

import (
	"context"
	"fmt"
)

type adminCmd struct {
	Token adminTokenCmd `cmd:"" help:"Print the token of the operators' API."`
}

type adminTokenCmd struct{ operator }

// Help shows an example.
func (adminTokenCmd) Help() string {
	return `Example:

	$ curl -H "Authorization: Bearer $(fleetline admin token)" http://127.0.0.1:5001/v1/machines`
}

// Run prints the token.
func (a *adminTokenCmd) Run(_ context.Context, c *console) error {
	token, err := a.token()
	if err != nil {
		return err
	}
	if a.JSON {
		return c.printJSON(map[string]string{"token": token})
	}
	_, err = fmt.Fprintln(c.out, token)
	return err
}
