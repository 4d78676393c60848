package api

import "slices"

func suites() []suite {
	return slices.Concat(
		policySuites(), selectorSuites(), expressionSuites(), policyStatusSuites(),
		reportSuites(),
		remediationSuites(),
		nodeReportSuites(),
	)
}
