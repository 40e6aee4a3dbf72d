// Package token mints and verifies session tokens: what a machine shows, instead of its API key,
// when it comes back.
//
// They are JWTs with HS256 under the secret itself, so that backends that hold the same secret can
// verify them. Other tokens under that secret are kept apart by the header's typ, the issuer and
// the audience, which is the installation. The algorithm is pinned: no token chooses how it is
// verified.
//
// A verified token proves who its machine was when it was minted. Whether that machine still exists
// is not said here.
package token
