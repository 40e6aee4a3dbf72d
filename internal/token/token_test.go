package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	claims = Claims{Machine: "mch_abcdefgh_xyz", Account: "acc_1", Key: [32]byte{1, 2, 0xff}}
	secret = Secret("pV9nq3LTz0fWb7YkRc2mUxE8sJ5aHdGo")
	older  = Secret("Kd83hZq0PxTn4WbVr7LyMc1sJfEuA6gR")
)

func newSigner(t testing.TB, c Config) *Signer {
	t.Helper()
	if c.Secret == nil {
		c.Secret = secret
	}
	if c.Installation == "" {
		c.Installation = "abcdefgh"
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mint(t testing.TB, s *Signer) string {
	t.Helper()
	token, _, err := s.Mint(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func expect(t *testing.T, s *Signer, token string, want error) {
	t.Helper()
	if _, err := s.Verify(token); !errors.Is(err, want) {
		t.Errorf("verifying says %v, want %v", err, want)
	}
}

func TestATokenSaysWhoItsMachineIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, Config{})
		token, expires, err := s.Mint(claims)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Verify(token)
		if err != nil {
			t.Fatal(err)
		}
		want := claims
		want.IssuedAt, want.ExpiresAt = time.Now().Truncate(time.Second), expires
		if got.Machine != want.Machine || got.Account != want.Account || got.Key != want.Key ||
			!got.IssuedAt.Equal(want.IssuedAt) || !got.ExpiresAt.Equal(want.ExpiresAt) {
			t.Errorf("it says %+v, want %+v", got, want)
		}
		if life := expires.Sub(got.IssuedAt); life != 15*time.Minute || s.Life() != life {
			t.Errorf("it lasts %v", life)
		}
	})
}

func TestATokenIsAJWTThatABackendWithTheSecretCanVerify(t *testing.T) {
	token := mint(t, newSigner(t, Config{}))
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("fleetline"), jwt.WithAudience("abcdefgh"),
		jwt.WithSubject(claims.Machine), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Header["typ"] != "fleetline+jwt" {
		t.Errorf("its type is %v", parsed.Header["typ"])
	}
	if key := parsed.Claims.(jwt.MapClaims)["key"]; key != base64.RawURLEncoding.EncodeToString(claims.Key[:]) {
		t.Errorf("its key is %v", key)
	}
}

func TestATokenExpiresAtItsMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, Config{Life: time.Hour})
		token := mint(t, s)
		time.Sleep(time.Hour - time.Nanosecond)
		expect(t, s, token, nil)
		time.Sleep(time.Nanosecond)
		expect(t, s, token, ErrExpired)
	})
}

func TestATokenOlderThanThePresentLifeHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := mint(t, newSigner(t, Config{Life: 24 * time.Hour}))
		s := newSigner(t, Config{Life: time.Minute})
		time.Sleep(time.Minute - time.Nanosecond)
		expect(t, s, token, nil)
		time.Sleep(time.Nanosecond)
		expect(t, s, token, ErrExpired)
	})
}

func TestAClockMayBeAMinuteAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, Config{})
		now := time.Now().Unix()
		expect(t, s, forge(t, jwt.SigningMethodHS256, []byte(secret), nil, jwt.MapClaims{"iat": now + 60, "exp": now + 900}), nil)
		expect(t, s, forge(t, jwt.SigningMethodHS256, []byte(secret), nil, jwt.MapClaims{"iat": now + 61, "exp": now + 900}), ErrInvalid)
	})
}

func TestTokensUnderThePreviousSecretAreVerifiedAndNoneAreMinted(t *testing.T) {
	before := newSigner(t, Config{Secret: older})
	during := newSigner(t, Config{Secret: secret, Previous: older})
	after := newSigner(t, Config{Secret: secret})
	expect(t, during, mint(t, before), nil)
	expect(t, after, mint(t, before), ErrInvalid)
	expect(t, after, mint(t, during), nil)
	expect(t, before, mint(t, during), ErrInvalid)
}

// forge makes a token that differs from a good one in what is given. A nil claim is left out.
func forge(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, change jwt.MapClaims) string {
	t.Helper()
	now := time.Now().Unix()
	c := jwt.MapClaims{
		"iss": "fleetline", "aud": "abcdefgh", "sub": "m", "account": "a", "iat": now, "exp": now + 60,
		"key": base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	token := jwt.NewWithClaims(method, c)
	token.Header["typ"] = "fleetline+jwt"
	maps.Copy(token.Header, header)
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatIsNotOurTokenIsRefused(t *testing.T) {
	s := newSigner(t, Config{})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hs := func(header map[string]any, change jwt.MapClaims) string {
		return forge(t, jwt.SigningMethodHS256, []byte(secret), header, change)
	}
	expect(t, s, hs(nil, nil), nil) // the one that all others differ from
	good := strings.Split(hs(nil, nil), ".")
	now := time.Now().Unix()
	tests := map[string]string{
		"nothing":              "",
		"no token":             "a.b.c",
		"alg none":             forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"alg none, no sign":    good[0] + "." + good[1] + ".",
		"RS256":                forge(t, jwt.SigningMethodRS256, rsaKey, nil, nil),
		"ES256":                forge(t, jwt.SigningMethodES256, ecKey, nil, nil),
		"HS384":                forge(t, jwt.SigningMethodHS384, []byte(secret), nil, nil),
		"HS512":                forge(t, jwt.SigningMethodHS512, []byte(secret), nil, nil),
		"another secret":       forge(t, jwt.SigningMethodHS256, []byte(older), nil, nil),
		"no secret":            forge(t, jwt.SigningMethodHS256, []byte{}, nil, nil),
		"typ JWT":              hs(map[string]any{"typ": "JWT"}, nil),
		"no typ":               hs(map[string]any{"typ": nil}, nil),
		"critical extension":   hs(map[string]any{"crit": []string{"b64"}}, nil),
		"another issuer":       hs(nil, jwt.MapClaims{"iss": "supabase"}),
		"another audience":     hs(nil, jwt.MapClaims{"aud": "authenticated"}),
		"many audiences":       hs(nil, jwt.MapClaims{"aud": []string{"abcdefgh", "authenticated"}}),
		"no issuer":            hs(nil, jwt.MapClaims{"iss": nil}),
		"no audience":          hs(nil, jwt.MapClaims{"aud": nil}),
		"no subject":           hs(nil, jwt.MapClaims{"sub": nil}),
		"no account":           hs(nil, jwt.MapClaims{"account": nil}),
		"no key":               hs(nil, jwt.MapClaims{"key": nil}),
		"short key":            hs(nil, jwt.MapClaims{"key": "AAAA"}),
		"no iat":               hs(nil, jwt.MapClaims{"iat": nil}),
		"no exp":               hs(nil, jwt.MapClaims{"exp": nil}),
		"exp before iat":       hs(nil, jwt.MapClaims{"exp": now - 1}),
		"exp beyond all times": hs(nil, jwt.MapClaims{"exp": int64(1) << 62}),
		"iat as text":          hs(nil, jwt.MapClaims{"iat": "now"}),
		"too long":             hs(nil, jwt.MapClaims{"sub": strings.Repeat("m", maxToken)}),
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) { expect(t, s, token, ErrInvalid) })
	}
}

func TestASecretThatIsEasyToGuessIsRefused(t *testing.T) {
	weak := []string{
		"tiny!", "0123456789012345678901234567890",
		"your-super-secret-jwt-token-with-at-least-32-characters-long",
		"super-secret-jwt-token-with-at-least-32-characters-long",
		"a-string-secret-at-least-256-bits-long",
		"your-jwt-secret", "YOUR_JWT_SECRET", "your-256-bit-secret",
		"changeme", "changemechangemechangemechangeme", "change-me-please-change-me-please-change-me",
		"change-this-to-something-long-and-random-1234",
		strings.Repeat("a", 64), strings.Repeat("0123456789", 5), strings.Repeat("x9K#", 9),
		"replace_with_your_own_secret_of_32_chars",
	}
	for _, w := range weak {
		for _, c := range []Config{{Secret: Secret(w), Installation: "i"}, {Secret: secret, Previous: Secret(w), Installation: "i"}} {
			_, err := New(c)
			if err == nil {
				t.Errorf("%q is accepted", w)
			} else if strings.Contains(err.Error(), w) {
				t.Errorf("the error shows the secret: %v", err)
			}
			c.Dev = true
			if _, err := New(c); err != nil {
				t.Errorf("%q is refused in development: %v", w, err)
			}
		}
	}
	for range 100 {
		if err := GenerateSecret().check(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAllProblemsOfAConfigAreReportedAtOnce(t *testing.T) {
	_, err := New(Config{Previous: Secret("short"), Life: time.Millisecond})
	for _, want := range []string{"secret is missing", "previous", "installation", "life"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not tell of the %s: %v", want, err)
		}
	}
}

func TestASecretNeverShows(t *testing.T) {
	var log strings.Builder
	s := newSigner(t, Config{Previous: older})
	c := Config{Secret: secret, Previous: older}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "config", c, "signer", s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "config", c, "signer", s)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(encoded) + secret.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		shown += fmt.Sprintf(verb+verb+verb+verb, secret, c, &c, s)
	}
	for _, k := range []Secret{secret, older} {
		for _, form := range []string{string(k), fmt.Sprintf("%x", []byte(k)), fmt.Sprintf("%d", []byte(k)), base64.StdEncoding.EncodeToString(k)} {
			if strings.Contains(shown, form) {
				t.Errorf("a secret shows as %s", form)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	s := newSigner(f, Config{Previous: older})
	good := mint(f, s)
	f.Add(good)
	f.Add(forge(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil))
	f.Add("e30.e30.")
	f.Add("bnVsbA.bnVsbA.bnVsbA")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := s.Verify(token)
		switch {
		case err == nil && (token != good || c.Machine != claims.Machine):
			t.Errorf("%q is accepted", token)
		case err != nil && err != ErrInvalid && err != ErrExpired:
			t.Errorf("an error that nobody knows: %v", err)
		}
	})
}

// libraryClaims is a payload as the JWT library wants it. It is told not to judge claims.
type libraryClaims struct{ payload }

func (*libraryClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (*libraryClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (*libraryClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (*libraryClaims) GetIssuer() (string, error)                   { return "", nil }
func (*libraryClaims) GetSubject() (string, error)                  { return "", nil }
func (*libraryClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// libraryAccepts tells whether the JWT library takes token for one of ours, and what it says.
func libraryAccepts(token string, secrets ...[]byte) (c Claims, ok bool) {
	var p libraryClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(token, &p, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; t.Header["typ"] != "fleetline+jwt" || critical {
			return nil, ErrInvalid
		}
		var keys jwt.VerificationKeySet
		for _, k := range secrets {
			keys.Keys = append(keys.Keys, k)
		}
		return keys, nil
	})
	if err != nil || p.Issuer != issuer || p.Audience != "abcdefgh" {
		return Claims{}, false
	}
	return p.claims()
}

// FuzzTheLibraryTakesWhatWeTake signs whatever it is given behind any header. The library must take
// what is taken, and see the same in it; what begins with our header they judge alike.
func FuzzTheLibraryTakesWhatWeTake(f *testing.F) {
	ours := []byte(`{"alg":"HS256","typ":"fleetline+jwt"}`)
	now := time.Now().Unix()
	body := fmt.Appendf(nil, `{"iss":"fleetline","aud":"abcdefgh","sub":"m","account":"a","key":"%s","iat":%d,"exp":%d}`,
		base64.RawURLEncoding.EncodeToString(make([]byte, 32)), now, now+1<<20)
	f.Add(ours, body, "", false)
	f.Add(ours, body, "", true)
	f.Add(ours, body, "\n", false)
	f.Add(ours, body, ".", false)
	f.Add(ours, append(slices.Clone(body), '{'), "", false)
	f.Add([]byte(`{"typ":"fleetline+jwt","alg":"HS256"}`), body, "", false)
	f.Add([]byte(`{"alg":"none","typ":"fleetline+jwt"}`), body, "", false)
	f.Add([]byte(`{"alg":"HS256","typ":"fleetline+jwt","crit":["b64"]}`), body, "", false)
	s := newSigner(f, Config{Previous: older, Life: 1 << 20 * time.Second})
	f.Fuzz(func(t *testing.T, header, body []byte, behind string, isOlder bool) {
		key := []byte(secret)
		if isOlder {
			key = []byte(older)
		}
		text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(body)
		sig, err := jwt.SigningMethodHS256.Sign(text, key)
		if err != nil {
			t.Fatal(err)
		}
		token := text + "." + base64.RawURLEncoding.EncodeToString(sig) + behind
		got, err := s.Verify(token)
		want, ok := libraryAccepts(token, []byte(secret), []byte(older))
		switch {
		case err == nil && (!ok || got != want):
			t.Errorf("%q is accepted as %+v; the library says %+v, %v", token, got, want, ok)
		case err == ErrInvalid && ok && behind == "" && string(header) == string(ours) && len(token) <= maxToken && !want.IssuedAt.After(time.Now()):
			t.Errorf("%q is refused; the library says %+v", token, want)
		}
	})
}

// FuzzPayload signs whatever it is given: what is accepted must make sense.
func FuzzPayload(f *testing.F) {
	s := newSigner(f, Config{})
	f.Add([]byte(`{"iss":"fleetline","aud":"abcdefgh","sub":"m","account":"a","key":"","iat":1,"exp":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"fleetline+jwt"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
		sig, err := jwt.SigningMethodHS256.Sign(text, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Verify(text + "." + base64.RawURLEncoding.EncodeToString(sig))
		if err == nil && (c.Machine == "" || c.Account == "" || !c.ExpiresAt.After(time.Now()) || time.Since(c.IssuedAt) > s.Life()) {
			t.Errorf("accepted: %+v", c)
		}
	})
}

// FuzzAPayloadIsReadAndWrittenAsByTheLibrary holds our reader and writer against encoding/json.
func FuzzAPayloadIsReadAndWrittenAsByTheLibrary(f *testing.F) {
	f.Add(`{"iss":"fleetline","aud":"abcdefgh","sub":"m","account":"a","key":"k","iat":1,"exp":2}`)
	f.Add(`{"iss":"fleetline","aud":"abcdefgh","sub":"m\\u0022","account":"<a>","key":"k","iat":1,"exp":2}`)
	f.Add(`{"iss":"f","aud":"a","sub":"m","account":"a","key":"k","iat":01,"exp":2}`)
	f.Add(`{"iss":"f","aud":"a","sub":"\xff","account":"a","key":"k","iat":1,"exp":9223372036854775807}`)
	f.Add(`{"iss":"f","aud":"a","sub":"m","account":"a","key":"k","iat":1,"exp":2} `)
	f.Add(`{"iss":"f","aud":"a","sub":"m","account":"a","key":"k","iat":-1,"exp":2,"more":3}`)
	f.Fuzz(func(t *testing.T, body string) {
		var got, want payload
		err, wantErr := got.parse(body), json.Unmarshal([]byte(body), &want)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("%q is read as %+v, %v, by the library as %+v, %v", body, got, err, want, wantErr)
		}
		var again payload
		if written := want.append(nil); json.Unmarshal(written, &again) != nil || again != want {
			t.Errorf("%+v is written %s, which the library reads as %+v", want, written, again)
		}
	})
}

func BenchmarkMint(b *testing.B) {
	s := newSigner(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		mint(b, s)
	}
}

func BenchmarkVerify(b *testing.B) {
	s := newSigner(b, Config{})
	token := mint(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
