package accept

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// dataField is the field of an entry that holds what other doors take as a message. An entry
// without it is a quote itself.
const dataField = "data"

// entry is one entry of the stream of producers.
type entry struct {
	id     entryID
	now    time.Time // when it was read, by the clock of the stream's server
	fields []string  // names and values in turn
	size   int64     // of an entry that is too large, which has no fields
	start  string    // the beginning of the largest value then
}

// readEntry decodes an entry in the reply of streamScript.
func readEntry(reply any) (e entry, ok bool) {
	list, _ := reply.([]any)
	if len(list) < 2 {
		return e, false
	}
	id, _ := list[0].(string)
	if e.id, ok = parseEntryID(id); !ok {
		return e, false
	}
	if len(list) == 3 {
		e.size, ok = list[1].(int64)
		e.start, _ = list[2].(string)
		return e, ok
	}
	fields, ok := list[1].([]any)
	for _, one := range fields {
		text, _ := one.(string)
		e.fields = append(e.fields, text)
	}
	return e, ok && len(fields)%2 == 0
}

// entryItem is one quote of an entry, or what is none.
type entryItem struct {
	id        entryID
	quote     feed.Quote
	untimed   bool            // the quote has the time of the entry
	rejection *feed.Rejection // of what the publish script need not judge
	input     []byte          // its beginning
}

// appendItems appends the items of an entry.
func (s *stream) appendItems(dst []entryItem, e entry, r *reading) []entryItem {
	if e.fields == nil && e.size > 0 {
		return append(dst, entryItem{id: e.id, input: []byte(e.start), rejection: feed.NewRejection(feed.ReasonTooLong,
			"the entry has %d bytes; the limit is %d: send it in parts", e.size, feed.MaxInputBody)})
	}
	index := 0
	for _, body := range bodiesOf(e.fields) {
		items, err := splitEntry(body)
		if err != nil {
			dst = append(dst, entryItem{id: e.id, input: body, rejection: err})
			continue
		}
		for _, item := range items {
			dst = append(dst, s.itemOf(e, index, item, r))
			index++
		}
	}
	return dst
}

// bodiesOf returns what an entry holds: the values of the field data, or else its fields as an
// object.
func bodiesOf(fields []string) (bodies [][]byte) {
	for i := 0; i < len(fields); i += 2 {
		if strings.EqualFold(fields[i], dataField) {
			bodies = append(bodies, []byte(fields[i+1]))
		}
	}
	if bodies != nil {
		return bodies
	}
	object := []byte{'{'}
	for i, text := range fields {
		quoted, _ := json.Marshal(text) // text can always be encoded
		object = append(object, quoted...)
		object = append(object, ":,"[i%2])
	}
	object[len(object)-1] = '}'
	return [][]byte{object}
}

func splitEntry(body []byte) ([]json.RawMessage, *feed.Rejection) {
	if len(body) > feed.MaxInputBody {
		return nil, feed.NewRejection(feed.ReasonTooLong, "the entry has %d bytes; the limit is %d: send it in parts", len(body), feed.MaxInputBody)
	}
	items, err := feed.SplitInput(body)
	if err != nil {
		return nil, feed.BodyRejection(err)
	}
	return items, nil
}

// itemOf parses one item of an entry. A quote without a time gets that of the entry, unless a
// producer has made up its id.
func (s *stream) itemOf(e entry, index int, item []byte, r *reading) entryItem {
	one := entryItem{id: e.id, input: item[:min(len(item), maxRejectedInput)]}
	q, err := feed.ParseInput(item, s.cfg.Input)
	one.quote = q
	if rejection, ok := errors.AsType[*feed.Rejection](err); ok {
		one.rejection = rejection
		return one
	}
	if one.rejection = s.cfg.Publisher.Check(q); one.rejection != nil {
		return one
	}
	if made := e.id.time(); q.Time.IsZero() {
		one.untimed = true
		if !made.After(e.now) {
			q.Time = made
		}
	}
	place := e.id.String() + "-" + strconv.Itoa(index)
	q.Entry = r.stored.generation + ":" + place + ":" + r.before[q.Symbol]
	r.before[q.Symbol] = place
	one.quote = q
	return one
}
