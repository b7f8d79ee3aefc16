package client

// WithScale returns options whose client has a scaled clock.
func WithScale(o Options, scale float64) Options {
	o.scale = scale
	return o
}
