package main

import "slices"

// cases are all there are, in the order of wire/SPEC.md.
func cases() []Case {
	return slices.Concat(
		doorCases(), authCases(), tokenCases(), positionCases(), storeCases(),
		lifeCases(), faultyCases(), returnCases(), verdictCases(),
	)
}
