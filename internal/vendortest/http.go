package vendortest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oanda serves the pricing stream, and the list of instruments.
func (s *Server) oanda(w http.ResponseWriter, r *http.Request) {
	const prefix = "/v3/accounts/" + Account
	switch {
	case r.Header.Get("Authorization") != "Bearer "+Key:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(s.messages.one("bad_key")))
		return
	case r.URL.Path == prefix+"/instruments":
		_, _ = w.Write([]byte(s.messages.one("instruments")))
		return
	case r.URL.Path != prefix+"/pricing/stream":
		http.Error(w, `{"errorMessage":"Account does not exist"}`, http.StatusNotFound)
		return
	}
	names := strings.Split(r.URL.Query().Get("instruments"), ",")
	if slices.ContainsFunc(names, func(name string) bool { return !contains(s.messages.one("instruments"), []string{name}) }) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(s.messages.one("bad_symbol")))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	out := http.NewResponseController(w)
	s.play(r.Context(), func(m string) bool { return contains(m, names) }, func(m string) error {
		if _, err := w.Write([]byte(m + "\n")); err != nil {
			return err
		}
		return out.Flush()
	})
}

// ecb serves the file of a day. Each request that is not conditional, and each one after the file
// has been served, gets the file of the next day.
func (s *Server) ecb(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.days++
	day := s.days
	s.mu.Unlock()
	switch {
	case s.frozen(r.Context()):
		return
	case s.on(Duplicate):
		day -= day % 2
	case s.on(Reorder):
		day += 1 - 2*(day%2)
	}
	file := s.spoiled(s.messages.one("price"), time.Date(2024, 6, 28+day, 0, 0, 0, 0, time.UTC))
	if s.on(UnknownType) {
		file = strings.Replace(file, "<Cube><Cube time", s.messages.one("unknown")+"<Cube><Cube time", 1)
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(file)))
	if s.on(CloseAfter) && day%closeAfter == 0 { // within the file
		file = file[:len(file)-200]
	}
	_, _ = w.Write([]byte(file))
}
