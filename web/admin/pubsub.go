package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/web/endpoint"
)

// ErrNotPermitted means that the ACL of Redis forbids a command or channel to this server's user.
var ErrNotPermitted = errors.New("admin: Redis does not permit it")

type (
	pubsubRequest struct {
		Channel string          `json:"channel"`
		Message json.RawMessage `json:"message"`
	}
	receiversAnswer struct {
		Receivers int64 `json:"receivers"` // on a cluster, only those of one server
	}
)

const (
	maxChannel = 256      // bytes of a name
	maxRelayed = 16 << 10 // bytes; a longer message on FEED_CHANNELS is not relayed
)

// postPubSub publishes on a channel, except the channels under Config.Prefix. A message to the
// inbox passes the same gate as the quotes of every producer.
func (s *Server) postPubSub(w http.ResponseWriter, r *http.Request) error {
	var in pubsubRequest
	if err := endpoint.ReadJSON(r, &in); err != nil {
		return err
	}
	note(r, "channel", in.Channel)
	switch {
	case in.Channel == "" || len(in.Channel) > maxChannel:
		return endpoint.BadRequest("channel: want a name of 1 to %d bytes", maxChannel)
	case strings.HasPrefix(in.Channel, s.cfg.Prefix):
		return endpoint.BadRequest("channel: channels under %s carry accepted quotes and notices between nodes; publish quotes on the inbox channel", s.cfg.Prefix)
	case strings.HasPrefix(in.Channel, "__"):
		return endpoint.BadRequest("channel: channels under __ belong to Redis")
	case in.Message == nil:
		return endpoint.BadRequest("message: want any JSON value")
	}
	payload, err := published(in.Message)
	if err != nil {
		return err
	}
	if slices.Contains(s.cfg.Channels, in.Channel) && len(payload) > maxRelayed {
		return endpoint.BadRequest("message: it has %d bytes; a relayed channel allows at most %d", len(payload), maxRelayed)
	}
	note(r, "bytes", len(payload))
	receivers, err := s.cfg.PubSub(r.Context(), in.Channel, payload)
	switch {
	case errors.Is(err, ErrNotPermitted):
		return &endpoint.Problem{Status: http.StatusForbidden, Title: "Forbidden", Cause: err,
			Detail: fmt.Sprintf("channel: Redis does not allow this server to publish on %q; its ACL user needs a rule for that channel", in.Channel)}
	case err != nil:
		return endpoint.Unavailable(cmp.Or(redislink.Trouble(err), "Redis did not accept the message, or its answer was lost"), err)
	}
	note(r, "receivers", receivers)
	return endpoint.WriteJSON(w, http.StatusOK, receiversAnswer{receivers})
}

// published returns the text to publish: the content of a JSON string, or the compact JSON of any
// other value.
func published(message json.RawMessage) ([]byte, error) {
	var text string
	if message[0] == '"' {
		if err := json.Unmarshal(message, &text); err != nil {
			return nil, endpoint.BadRequest("message: %v", err)
		}
		return []byte(text), nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, message); err != nil {
		return nil, endpoint.BadRequest("message: %v", err)
	}
	return out.Bytes(), nil
}
