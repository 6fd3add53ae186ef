//go:build !bsmtest

package tools

import "testing"

func TestTheProductHasNoRootTool(t *testing.T) {
	for name := range registry {
		if name == "root.sh" {
			t.Error("root.sh is in the product")
		}
	}
}
