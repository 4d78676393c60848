package main

import (
	"strings"
	"testing"
)

const valuesFile = `# A comment of the file.
image:
  # -- Where it comes from.
  tag: ""

# -- All of it, as a|b.
selector:
  kubernetes.io/os: linux
  nested: {a: 1}
plain:
  # Not described.
  hidden: 1
  # -- After one that is not.
  seen: [1, 2]
`

func TestEveryDescribedValueGetsARow(t *testing.T) {
	t.Parallel()
	values, err := parse([]byte(valuesFile))
	if err != nil {
		t.Fatal(err)
	}
	want := "| value | default | meaning |\n|---|---|---|\n" +
		"| `image.tag` | `\"\"` | Where it comes from. |\n" +
		"| `selector` | `{\"kubernetes.io/os\":\"linux\",\"nested\":{\"a\":1}}` | All of it, as a\\|b. |\n" +
		"| `plain.seen` | `[1,2]` | After one that is not. |\n"
	if got := string(table(values)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestOnlyWhatIsBetweenTheMarksIsReplaced(t *testing.T) {
	t.Parallel()
	got, err := replace([]byte("before\n"+begin+"old\n"+end+"after\n"), []byte("new\n"))
	if want := "before\n" + begin + "new\n" + end + "after\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestAReadmeWithoutMarksIsRefused(t *testing.T) {
	t.Parallel()
	for _, readme := range []string{"", begin, end + begin} {
		if _, err := replace([]byte(readme), nil); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("%q: error %v, want one that says what is missing", readme, err)
		}
	}
}
