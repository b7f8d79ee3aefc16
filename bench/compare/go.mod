module github.com/fxcast/fxcast/bench/compare

go 1.26.0
