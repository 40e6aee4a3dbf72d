package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// dotEnvFiles are read the same by Node's dotenv. The last ones look like what is found in the wild.
var dotEnvFiles = []string{
	"",
	"PORT=5000",
	"PORT=5000\r\nJWT_SECRET=x\r\n",
	"\ufeffPORT=5000\n",
	"JWT_SECRET=ab$cd${HOME}$(id)`",
	`JWT_SECRET="ab$cd"`,
	"JWT_SECRET=ab#cd",
	"JWT_SECRET='ab#cd' # a comment",
	"JWT_SECRET=ab cd  # a comment",
	"JWT_SECRET=a=b==",
	"JWT_SECRET=\nPORT=5000",
	"JWT_SECRET=\n\n# PORT=1\nPORT = 5000 ",
	"export PORT=5000\n  HOST: 127.0.0.1",
	`A="one\ntwo\rthree\tfour"` + "\nB='one\\ntwo'\nC=one\\ntwo",
	"A=\"one\ntwo\"\nB=`it's \"quoted\"`",
	`A="unclosed` + "\nB='unclosed",
	`A='it\'s'` + "\n" + `B="say \"so\""`,
	"A=1\nA=2",
	"A.B-C=1",
	"\n# Supabase\nSUPABASE_URL=https://abc.supabase.co\nSUPABASE_SERVICE_ROLE_KEY=eyJhbGciOi.eyJpc3MiOi.x-_y # service_role\n\n#JWT\nJWT_SECRET=\"p@ss$w0rd!#9\"\nPORT=5000 #port\n",
}

func TestADotEnvFileIsReadAsNodeReadsIt(t *testing.T) {
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(dotEnvFiles, string(example)) {
		node := exec.CommandContext(t.Context(), "node", "../../test/node/dotenv.js")
		node.Stdin, node.Stderr = strings.NewReader(text), os.Stderr
		out, err := node.Output()
		if err != nil {
			t.Fatalf("asking Node's dotenv (make setup installs it): %v", err)
		}
		var want map[string]string
		if err := json.Unmarshal(out, &want); err != nil {
			t.Fatal(err)
		}
		if got, err := parseDotEnv(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q\nis read as %q, %v\nby Node's dotenv as %q", text, got, err, want)
		}
	}
}

func TestALineOfADotEnvFileThatSetsNothingIsRefused(t *testing.T) {
	for _, text := range []string{"PORT", "PORT=5000\nhunter2 is not a setting", "=5000", "PORT 5000"} {
		if got, err := parseDotEnv(text); err == nil {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}
