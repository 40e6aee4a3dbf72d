package main

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// A .env file is read as Node's dotenv reads it, so that one file serves a Node server and this
// gateway: nothing is expanded (a secret may hold a $), and what stands behind a # is a comment, unless
// it is quoted.

// assignment is dotenv's own expression for NAME=value, NAME: value and quotes over many lines.
var assignment = regexp.MustCompile("(?m)^\\s*(?:export\\s+)?([\\w.-]+)(?:\\s*=\\s*?|:\\s+?)" +
	"(\\s*'(?:\\\\'|[^'])*'|\\s*\"(?:\\\\\"|[^\"])*\"|\\s*`(?:\\\\`|[^`])*`|[^#\\n]+)?\\s*(?:#.*)?$")

var errNoAssignment = errors.New("a line is not NAME=value")

// loadDotEnv adds what .env names to the environment, where it is not named already.
func loadDotEnv() error {
	set, err := readDotEnv()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return hinted{useError("reading .env: %w", file.Err), "the user that runs fleetline must be able to read the file .env of the working directory"}
	}
	if err != nil {
		return useError("reading .env: %w", err)
	}
	for name, value := range set {
		if _, known := os.LookupEnv(name); known {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return useError("reading .env: setting %s: %w", name, err)
		}
	}
	return nil
}

func readDotEnv() (map[string]string, error) {
	text, err := os.ReadFile(".env")
	if err != nil {
		return nil, err
	}
	return parseDotEnv(string(text))
}

// parseDotEnv refuses lines that dotenv passes over: a typing error in a setting should be heard of.
// The error does not quote the line, which may hold a secret.
func parseDotEnv(text string) (map[string]string, error) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(text, "\ufeff"))
	for line := range strings.Lines(assignment.ReplaceAllString(text, "")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return nil, errNoAssignment
		}
	}
	set := make(map[string]string)
	for _, found := range assignment.FindAllStringSubmatch(text, -1) {
		set[found[1]] = unquote(strings.TrimSpace(found[2]))
	}
	return set, nil
}

// unquote takes quotes away; between double ones \n and \r are line ends.
func unquote(value string) string {
	if value == "" || !strings.ContainsRune("'\"`", rune(value[0])) {
		return value
	}
	quote := value[:1]
	if len(value) > 1 && strings.HasSuffix(value, quote) {
		value = value[1 : len(value)-1]
	}
	if quote == `"` {
		value = strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(value)
	}
	return value
}
