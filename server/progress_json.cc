#include "server/progress_json.h"

#include <cmath>

#include "common/error.h"
#include "nlohmann/json.hpp"

namespace promptd::server {
namespace {

// JSON has no NaN: a loss that has diverged is stored as null.
nlohmann::json Number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

double Number(const nlohmann::json& value) {
  return value.is_null() ? std::nan("") : value.get<double>();
}

}  // namespace

std::string ProgressToJson(const worker::Progress& progress) {
  nlohmann::json json = {{"phase", progress.phase},
                         {"epoch", progress.epoch},
                         {"epochs", progress.epochs},
                         {"step", progress.step},
                         {"steps", progress.steps},
                         {"loss", Number(progress.loss)},
                         {"accuracy", Number(progress.accuracy)},
                         {"learning_rate", Number(progress.learning_rate)},
                         {"fraction", Number(progress.fraction)}};
  if (progress.eta) {
    json["eta_seconds"] = Number(absl::ToDoubleSeconds(*progress.eta));
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<worker::Progress> ProgressFromJson(absl::string_view json) {
  try {
    const auto value = nlohmann::json::parse(json.begin(), json.end());
    worker::Progress progress;
    value.at("phase").get_to(progress.phase);
    value.at("epoch").get_to(progress.epoch);
    value.at("epochs").get_to(progress.epochs);
    value.at("step").get_to(progress.step);
    value.at("steps").get_to(progress.steps);
    progress.loss = Number(value.at("loss"));
    progress.accuracy = Number(value.at("accuracy"));
    progress.learning_rate = Number(value.at("learning_rate"));
    progress.fraction = Number(value.at("fraction"));
    const auto eta = value.find("eta_seconds");
    if (eta != value.end() && eta->is_number()) {
      progress.eta = absl::Seconds(eta->get<double>());
    }
    return progress;
  } catch (const nlohmann::json::exception& error) {
    return MakeError(absl::StatusCode::kInternal, "BAD_STORED_PROGRESS",
                     error.what());
  }
}

}  // namespace promptd::server
