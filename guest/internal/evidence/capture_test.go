package evidence

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"
)

type captureCase struct {
	name, prefix, unit string
	times              int
}

func captureCases() []captureCase {
	return []captureCase{
		{"empty", "", "", 0},
		{"short", "é", "a", 10},
		{"just whole", "", "a", 1 << 20},
		{"one byte over", "", "a", 1<<20 + 1},
		{"two-byte characters cut in the middle", "a", "é", 1 << 20},
		{"three-byte characters, cut after one", "", "€", 700_000},
		{"three-byte characters, cut after two", "a", "€", 700_000},
		{"four-byte characters, offset 1", "a", "😀", 400_000},
		{"four-byte characters, offset 2", "ab", "😀", 400_000},
		{"four-byte characters, offset 3", "abc", "😀", 400_000},
		{"binary, whole", "\x00\xff", "a", 100},
		{"binary, cut", "\x00\xff", "ab", 1 << 20},
		{"nothing but continuation bytes", "", "\x80", 2 << 20},
	}
}

func TestACutStreamKeepsHeadAndTailBetweenCharacters(t *testing.T) {
	for _, c := range captureCases() {
		stream := c.prefix + strings.Repeat(c.unit, c.times)
		for _, piece := range []int{len(stream) + 1, 65_536, 4_099} {
			var capture Capture
			for rest := stream; rest != ""; {
				n := piece
				if n > len(rest) {
					n = len(rest)
				}
				capture.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			text, encoding := capture.Text()
			if want := plainText(stream); decode(t, text, encoding) != want {
				t.Errorf("%s in pieces of %d: differs", c.name, piece)
			}
			if (encoding == "utf-8") != utf8.ValidString(plainText(stream)) {
				t.Errorf("%s: encoding %s", c.name, encoding)
			}
			if capture.Bytes != int64(len(stream)) || capture.Truncated() != (len(stream) > 1<<20) {
				t.Errorf("%s: %d bytes, truncated %v", c.name, capture.Bytes, capture.Truncated())
			}
		}
	}
}

// plainText is the rule written down once more.
func plainText(stream string) string {
	if len(stream) <= 1<<20 {
		return stream
	}
	head, tail := stream[:1<<19], stream[len(stream)-1<<19:]
	for n := 1; n <= 3; n++ {
		lead := head[len(head)-n]
		if lead >= 0xc0 && !utf8.FullRuneInString(head[len(head)-n:]) {
			head = head[:len(head)-n]
			break
		}
		if lead < 0x80 {
			break
		}
	}
	for n := 0; n < 3 && tail[0]&0xc0 == 0x80; n++ {
		tail = tail[1:]
	}
	cut := len(stream) - len(head) - len(tail)
	return head + "\n[... " + decimal(cut) + " bytes cut ...]\n" + tail
}

func decimal(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + string(rune('0'+n%10))
}

func decode(t *testing.T, text, encoding string) string {
	t.Helper()
	if encoding == "utf-8" {
		return text
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
