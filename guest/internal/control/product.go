//go:build linux && !bsmtest

package control

import (
	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// handleExtra refuses whatever the protocol does not name.
func handleExtra(*server.Conn, string, *strictjson.Fields) error { return server.ErrUnknownType }
