package admin

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/nodes"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/endpoint"
)

type (
	// A pastAnswer is the history of one node.
	pastAnswer struct {
		Node   string `json:"node"`
		Now    string `json:"now"` // by the clock of the node
		Range  string `json:"range"`
		Step   int    `json:"step_seconds"`
		Points int    `json:"points"` // of the whole range; the series have fewer until the node has run that long
		// Until is the end of the step that the last value of each series describes; the value
		// before it describes the step before. It is null while there is no value.
		Until  *string               `json:"until"`
		Series map[string]pastValues `json:"series"`
	}
	// pastValues are the values of one series, oldest first. NaN, in JSON null, is not known.
	pastValues []float64
	pastQuery  struct {
		Range string `json:"range"`
	}
)

// MarshalJSON implements json.Marshaler. A plot needs no more than 6 digits.
func (v pastValues) MarshalJSON() ([]byte, error) {
	out := []byte{'['}
	for i, x := range v {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			out = append(out, "null"...)
		} else {
			out = strconv.AppendFloat(out, x, 'g', 6, 64)
		}
	}
	return append(out, ']'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *pastValues) UnmarshalJSON(text []byte) error {
	var in []*float64
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*v = make(pastValues, len(in))
	for i, x := range in {
		if (*v)[i] = math.NaN(); x != nil {
			(*v)[i] = *x
		}
	}
	return nil
}

// pastParameters select a history.
var pastParameters = []endpoint.Parameter{
	{Name: "range", About: "how far back: 1h in steps of 10 s, or 24h in steps of a minute", Schema: endpoint.Object{"type": "string", "enum": []string{"1h", "24h"}, "default": "1h"}},
	{Name: "node", About: "the name of another node; this one without it", Schema: endpoint.Object{"type": "string"}},
}

// getPast returns the history of this node's own metrics, or that of another node, which must answer
// within a second.
func (s *Server) getPast(w http.ResponseWriter, r *http.Request) error {
	q := pastQuery{Range: r.URL.Query().Get("range")}
	if q.Range == "" {
		q.Range = "1h"
	}
	here, ok := s.pastHere(q)
	if !ok {
		return endpoint.BadRequest("range: want 1h or 24h")
	}
	node := r.URL.Query().Get("node")
	if node == "" || node == here.Node {
		return endpoint.WriteJSON(w, http.StatusOK, here)
	}
	there, err := s.cfg.Nodes.AskOne(r.Context(), node, "past", q)
	name := protocol.Clip(node, maxNoted)
	switch {
	case errors.Is(err, nodes.ErrUnknown):
		return endpoint.NotFound("this node sees no node " + name)
	case errors.Is(err, nodes.ErrSilent):
		return endpoint.Unavailable("node "+name+" does not answer", err)
	case err != nil:
		return endpoint.Unavailable("node "+name+" cannot be asked: "+endpoint.LostRedis(err), err)
	}
	var answer pastAnswer
	if there.Fault != "" || json.Unmarshal(there.Body, &answer) != nil {
		s.cfg.Log.Warn("another node could not answer with its history", "request", endpoint.RequestID(r), "node", node, "fault", there.Fault)
		return endpoint.Unavailable("node "+name+" cannot answer", nil)
	}
	answer.Node = node
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

func (s *Server) pastHere(q pastQuery) (pastAnswer, bool) {
	h, ok := s.cfg.Recorder.history(q.Range)
	h.Node, h.Now = s.cfg.Nodes.Name(), protocol.FormatTime(time.Now())
	return h, ok
}

func (s *Server) answerPast(_ context.Context, body json.RawMessage) (any, error) {
	var q pastQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, errors.New("not a question about the past")
	}
	h, ok := s.pastHere(q)
	if !ok {
		return nil, errors.New("no such range")
	}
	return h, nil
}
