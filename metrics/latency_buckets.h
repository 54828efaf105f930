// The bucket bounds of every histogram of seconds of one request or stage.
#pragma once

#include "prometheus/histogram.h"

namespace promptd::metrics {

prometheus::Histogram::BucketBoundaries LatencyBuckets();

}  // namespace promptd::metrics
