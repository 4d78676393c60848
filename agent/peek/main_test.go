package peek

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// lookVariable has the test program look at the program of pid1 below the proc mount that it names, tell the answer, and end.
const lookVariable = "PEEK_TEST_PROC"

func TestMain(m *testing.M) {
	procRoot := os.Getenv(lookVariable)
	if procRoot == "" {
		goleak.VerifyTestMain(m)
		return
	}
	w, err := New(procRoot)
	if err != nil {
		panic(err)
	}
	a, err := w.lookOnce(question{kind: goProgram, of: pid1}, soon())
	if err != nil {
		panic(err)
	}
	fmt.Printf("%+v\n", a)
}
