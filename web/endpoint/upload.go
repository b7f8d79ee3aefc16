package endpoint

import (
	"errors"
	"io"
	"net"
	"net/http"
)

// ReadBody reads the body of a request. A body that stalls is 408, and one that ends too early 400;
// neither is a fault of the server. Other errors, such as *http.MaxBytesError, are returned as they are.
func ReadBody(body io.Reader) ([]byte, error) {
	read, err := io.ReadAll(body)
	if err == nil {
		return read, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, err
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		return nil, &Problem{Status: http.StatusRequestTimeout, Title: "Request timeout", Detail: "the body did not arrive in time", Cause: err}
	}
	return nil, &Problem{Status: http.StatusBadRequest, Title: "Bad request", Detail: "the body ended too early", Cause: err}
}
