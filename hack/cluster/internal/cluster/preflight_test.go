package cluster

import "testing"

func TestParseCapabilities(t *testing.T) {
	t.Parallel()
	got, err := parseCapabilities("Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n")
	if err != nil || got != 0x1fffeffffff {
		t.Errorf("got %x and error %v", got, err)
	}
	if _, err := parseCapabilities("Name:\tx\n"); err == nil {
		t.Error("a status without CapEff was accepted")
	}
}
