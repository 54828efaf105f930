#include "server/infer_request.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/status_macros.h"

namespace promptd::server {
namespace {

// Labels, and numbers of a pixel tensor besides its rows.
constexpr int64_t kMostElements = int64_t{1} << 28;

std::vector<std::string> Strings(const std::vector<absl::string_view>& views) {
  return {views.begin(), views.end()};
}

class Reader {
 public:
  Reader(const InferModel& model, const inference::ModelInferRequest& request,
         const SharedAccess& shared)
      : model_(model), request_(request), shared_(shared) {}

  absl::StatusOr<InferWork> Read() {
    ReadParameters();
    ReadInputs();
    ReadOutputs();
    if (!violations_.empty()) {
      return InvalidFields("INVALID_INFER_REQUEST", violations_);
    }
    RETURN_IF_ERROR(refused_);
    return std::move(work_);
  }

 private:
  void Violate(const std::string& field, const std::string& why) {
    violations_.push_back({field, why});
  }

  // What clients send that promptd has no use for (priority, their own) is
  // passed over.
  void ReadParameters() {
    for (const auto& [name, value] : request_.parameters()) {
      const std::string field = absl::StrCat("parameters[", name, "]");
      if (name == "timeout") {
        const std::optional<int64_t> micros = WholeNumber(value);
        if (!micros || *micros < 0) {
          Violate(field, "must be a number of microseconds");
        } else if (*micros > 0) {
          work_.timeout = absl::Microseconds(*micros);
        }
      } else if (name == "no_cache") {
        work_.no_cache = value.bool_param();
      } else if ((name == "sequence_start" || name == "sequence_end") &&
                 value.bool_param()) {
        Violate(field, "no model here keeps state between requests");
      }
    }
  }

  void ReadInputs() {
    std::map<std::string, InferInput> inputs;
    const std::vector<InferInput> found = FindInputs(request_, &violations_);
    if (!violations_.empty()) return;
    for (const InferInput& input : found) {
      const std::string& name = input.tensor->name();
      if (!IsIn(model_.inputs, name)) {
        Violate(input.field, absl::StrCat("is none of this model's inputs: ",
                                          Names(model_.inputs)));
      }
      inputs[name] = input;
    }
    for (const TensorSpec& spec : model_.inputs) {
      if (!spec.optional && !inputs.contains(spec.name)) {
        Violate("inputs", absl::StrCat(spec.name, " is missing"));
      }
    }
    if (model_.kind == ModelKind::kTask || model_.kind == ModelKind::kImages) {
      if (inputs.contains(kImageInput) == inputs.contains(kPixelsInput)) {
        Violate("inputs", absl::StrCat("give one of ", kImageInput, " and ",
                                       kPixelsInput));
      }
    }
    if (!violations_.empty()) return;
    for (auto& [name, input] : inputs) CopyShared(&input);
    if (!violations_.empty() || !refused_.ok()) return;
    for (const auto& [name, input] : inputs) ReadInput(name, input);
  }

  // The region that has the place; null and a violation if there is none.
  SharedRegions::Region RegionOf(const SharedPlace& place,
                                 const std::string& field) {
    absl::StatusOr<SharedRegions::Region> region =
        shared_.regions->Find(shared_.tenant, place.region);
    if (!region.ok()) {
      Violate(field, std::string(region.status().message()));
      return nullptr;
    }
    if ((*region)->Has(place.offset, place.bytes)) return *std::move(region);
    Violate(field, absl::StrCat("lies at ", place.offset, " with ", place.bytes,
                                " bytes, but region \"", place.region,
                                "\" has ", (*region)->bytes()));
    return nullptr;
  }

  void CopyShared(InferInput* input) {
    if (!input->shared) return;
    const SharedPlace& place = *input->shared;
    const SharedRegions::Region region = RegionOf(place, input->field);
    if (region == nullptr) return;
    const auto most = static_cast<uint64_t>(shared_.max_bytes);
    if (place.bytes > most - copied_) {
      return Violate(input->field,
                     absl::StrCat("inputs in shared memory may have ", most,
                                  " bytes in all"));
    }
    copied_ += place.bytes;
    absl::StatusOr<OwnedBytes> bytes =
        shared_.regions->Copy(*region, place.offset, place.bytes);
    if (!bytes.ok()) {
      refused_.Update(Annotate(bytes.status(), input->field));
      return;
    }
    work_.copies.push_back(*std::move(bytes));
    input->raw = work_.copies.back().view();
  }

  void ReadInput(const std::string& name, const InferInput& input) {
    if (name == kPixelsInput) return ReadPixels(input);
    const bool batched = model_.max_batch > 0;
    const auto& shape = input.tensor->shape();
    // Behind the rows, one element each.
    if (shape.empty() || shape.size() > (batched ? 2 : 1) ||
        (shape.size() == 2 && shape[1] != 1)) {
      return Violate(input.field, batched ? "must have shape [rows, 1]"
                                          : "must have one dimension");
    }
    std::vector<absl::string_view> values =
        BytesOf(input, kMostElements, &violations_);
    if (name == kImageInput) {
      work_.images = std::move(values);
    } else if (name == kTextInput) {
      work_.texts = Strings(values);
    } else if (name == kLabelsInput) {
      work_.labels = Strings(values);
    } else if (values.size() == 1) {
      work_.label_template = std::string(values[0]);
    } else {
      Violate(input.field, "must hold one text");
    }
    if (name == kImageInput || name == kTextInput) CheckRows(input, shape[0]);
  }

  void ReadPixels(const InferInput& input) {
    const auto& shape = input.tensor->shape();
    const int64_t side = model_.encoder.image_size;
    if (shape.size() != 4 || shape[1] != 3 || shape[2] != side ||
        shape[3] != side) {
      return Violate(input.field,
                     absl::StrCat("must have shape [rows, 3, ", side, ", ",
                                  side, "], RGB, preprocessed"));
    }
    CheckRows(input, shape[0]);
    if (!violations_.empty()) return;
    const absl::Span<const float> values =
        FloatsOf(input, kMostElements, &violations_);
    const auto one = static_cast<size_t>(3 * side * side);
    for (size_t at = 0; at + one <= values.size(); at += one) {
      work_.pixels.push_back(values.subspan(at, one));
    }
  }

  void CheckRows(const InferInput& input, int64_t rows) {
    const int64_t most = model_.max_batch > 0 ? model_.max_batch : 1 << 10;
    if (rows < 1 || rows > most) {
      Violate(input.field,
              absl::StrCat("has ", rows, " rows, must have 1 to ", most));
    }
    work_.rows = rows;
  }

  void ReadOutputs() {
    // More would name one twice, and a small request have a reply of any size.
    if (static_cast<size_t>(request_.outputs_size()) > model_.outputs.size()) {
      return Violate("outputs", absl::StrCat("has ", request_.outputs_size(),
                                             " tensors, this model has ",
                                             model_.outputs.size(), ": ",
                                             Names(model_.outputs)));
    }
    for (int i = 0; i < request_.outputs_size(); ++i) {
      const auto& asked = request_.outputs(i);
      const std::string field =
          absl::StrCat("outputs[", i, "] (", asked.name(), ")");
      WantedOutput wanted{asked.name()};
      if (!IsIn(model_.outputs, asked.name())) {
        Violate(field, absl::StrCat("is none of this model's outputs: ",
                                    Names(model_.outputs)));
      }
      if (const auto place = PlaceOf(asked.parameters(), field, &violations_);
          place && violations_.empty()) {
        wanted.place = *place;
        wanted.region = RegionOf(*place, field);
      }
      const auto top = asked.parameters().find("classification");
      if (top != asked.parameters().end()) {
        wanted.classification = WholeNumber(top->second).value_or(-1);
        if (wanted.classification < 0) {
          Violate(field, "classification must be a number of classes");
        } else if (wanted.classification > 0 &&
                   asked.name() != kProbabilityOutput &&
                   asked.name() != kSimilarityOutput) {
          Violate(field, "has no classes to rank");
        }
      }
      work_.outputs.push_back(std::move(wanted));
    }
    if (!work_.outputs.empty()) return;
    for (const TensorSpec& spec : model_.outputs) {
      work_.outputs.push_back({spec.name});
    }
  }

  static bool IsIn(const std::vector<TensorSpec>& specs,
                   const std::string& name) {
    return std::any_of(specs.begin(), specs.end(),
                       [&](const auto& spec) { return spec.name == name; });
  }
  static std::string Names(const std::vector<TensorSpec>& specs) {
    return absl::StrJoin(specs, ", ", [](std::string* out, const auto& spec) {
      out->append(spec.name);
    });
  }

  const InferModel& model_;
  const inference::ModelInferRequest& request_;
  const SharedAccess& shared_;
  uint64_t copied_ = 0;
  absl::Status refused_;  // why shared memory could not be read
  InferWork work_;
  std::vector<FieldViolation> violations_;
};

}  // namespace

absl::StatusOr<InferWork> ReadRequest(
    const InferModel& model, const inference::ModelInferRequest& request,
    const SharedAccess& shared) {
  return Reader(model, request, shared).Read();
}

}  // namespace promptd::server
