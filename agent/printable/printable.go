// Package printable makes foreign text, such as a command name, fit to be shown.
package printable

import "strings"

// Printable makes foreign text fit to be shown: bytes other than printable ASCII become '?', the rest is cut at most bytes.
func Printable(s string, most int) string {
	s = s[:min(len(s), most)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
