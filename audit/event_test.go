package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

// filled returns an event in which no field is zero.
func filled(t *testing.T) Event {
	t.Helper()
	var e Event
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("text of " + v.Type().Field(i).Name)
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(1000 + i))
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"one", "two"}))
		case reflect.Struct:
			f.Set(reflect.ValueOf(time.Date(2026, 11, 23, 21, 0, 0, 123456789, time.UTC)))
		default:
			t.Fatalf("field %s has a type that appendEvent does not know", v.Type().Field(i).Name)
		}
	}
	return e
}

func TestLineIsWhatEncodingJSONWrites(t *testing.T) {
	check := func(e Event) bool {
		line, l := appendLine(nil, start, &e)
		want, err := json.Marshal(Entry{Seq: 1, Event: e, Prev: string(start.hash[:]), Hash: string(l.hash[:])})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(string(line), "\n"); got != string(want) {
			t.Errorf("line is\n%s\nencoding/json writes\n%s", got, want)
			return false
		}
		return true
	}
	check(filled(t))
	check(Event{Time: time.Unix(0, 0).UTC(), Kind: Note})
	random := func(run, host, reason string, secrets []string, status int16, n int64) bool {
		for i := range secrets {
			secrets[i] = secrets[i][:min(len(secrets[i]), maxName)]
			secrets[i] = strings.ToValidUTF8(secrets[i], "")
		}
		if len(secrets) > maxNames {
			secrets = secrets[:maxNames]
		}
		return check(Event{
			Time: time.Unix(n%1e9, n%1e9).UTC(), Kind: Request, Run: run[:min(len(run), 100)], Host: host[:min(len(host), 100)],
			Reason: "<&>\"\\\x00\u2028" + reason[:min(len(reason), 100)], Secrets: secrets, Status: int(status), RequestBytes: n,
		})
	}
	if err := quick.Check(random, nil); err != nil {
		t.Error(err)
	}
}

func TestLongTextIsCutAndALineStaysBounded(t *testing.T) {
	e := filled(t)
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(strings.Repeat("\x00", 10_000))
		case reflect.Slice:
			f.Set(reflect.ValueOf(slices.Repeat([]string{strings.Repeat("\x01", 10_000)}, 10_000)))
		}
	}
	line, _ := appendLine(nil, start, &e)
	if len(line) > maxLine {
		t.Errorf("a line has %d bytes, more than the %d that readTail looks for", len(line), maxLine)
	}
	got := string(appendString(nil, strings.Repeat("ä", 10), 7))
	if want := `"äää…"`; got != want {
		t.Errorf("cut inside a character: %s, want %s", got, want)
	}
}

// The record never holds a value: a new field is a decision, and this list is
// where it is taken.
func TestEventHasNoFieldForAValue(t *testing.T) {
	want := strings.Fields("Time Kind Run Principal Actions Action Host Method Status Code Ticket Secrets Reason RequestBytes ResponseBytes Duration")
	var got []string
	for f := range reflect.TypeFor[Event]().Fields() {
		got = append(got, f.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("fields are %v, want %v", got, want)
	}
}

func FuzzParseLine(f *testing.F) {
	line, _ := appendLine(nil, start, &Event{Kind: Request, Run: "a"})
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"seq":1,"prev":"","hash":""}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, prev, err := parseLine(line)
		if err == nil && !bytes.HasSuffix(line, fmt.Appendf(nil, `,"prev":"%s","hash":"%s"}`, prev[:], l.hash[:])) {
			t.Errorf("accepted %q", line)
		}
	})
}
