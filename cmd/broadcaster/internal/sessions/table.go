package sessions

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/session"
)

// writeSession prints a session without its token.
func writeSession(w io.Writer, s session.Session) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range [][2]string{
		{"session_id", s.ID}, {"user", s.UserID}, {"role", s.Role}, {"created", when(s.CreatedAt)}, {"last seen", when(s.LastSeenAt)},
		{"expires", when(s.ExpiresAt)}, {"at latest", when(s.AbsoluteExpiresAt)}, {"address", s.Address}, {"agent", s.Agent}, {"data", string(s.Data)},
	} {
		fmt.Fprintf(t, "%s\t%s\n", f[0], cmp.Or(cli.Printable(f[1]), "-"))
	}
	return t.Flush()
}

func writeSessions(w io.Writer, list []session.Session) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION_ID\tROLE\tCREATED\tLAST SEEN\tEXPIRES\tADDRESS")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, cli.Printable(s.Role), when(s.CreatedAt), when(s.LastSeenAt), when(s.ExpiresAt), cmp.Or(cli.Printable(s.Address), "-"))
	}
	return t.Flush()
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
