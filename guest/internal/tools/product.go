//go:build !bsmtest

package tools

func extraCatalog() []any { return nil }
