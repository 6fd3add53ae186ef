//go:build linux && bsmtest

package control

import (
	"os"

	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/strictjson"
)

// planted keeps the descriptors that TestPlant opened from being collected.
var planted []*os.File

// handleExtra adds TestPlant: one more descriptor in this process, which the
// verification must find. Only test images contain this file.
func handleExtra(c *server.Conn, kind string, f *strictjson.Fields) error {
	if kind != "TestPlant" {
		return server.ErrUnknownType
	}
	if err := f.Done(); err != nil {
		return refuse(c, kind, err)
	}
	file, err := os.Open("/dev/null")
	if err != nil {
		return refuse(c, kind, err)
	}
	planted = append(planted, file)
	return c.Send(strictjson.Of("type", "TestPlantAck"))
}
