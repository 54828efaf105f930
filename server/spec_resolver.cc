#include "server/spec_resolver.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/error.h"
#include "common/method_traits.h"
#include "common/nearest_name.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "datasets/class_subset.h"
#include "datasets/manifest.h"
#include "registry/prompt_registry.h"
#include "registry/registry.h"
#include "server/choices.h"
#include "server/context_check.h"
#include "server/context_resolver.h"
#include "server/grpc_status.h"
#include "server/method_fields.h"
#include "server/split_images.h"
#include "server/templates.h"

namespace promptd::server {
namespace {

constexpr double kPaperLearningRate = 0.002;
constexpr double kPaperLogitScale = 100;
// Of a whole image tower, measured on the bundled tasks (docs/methods.md).
constexpr double kImageTowerLearningRate = 1e-4;
constexpr int kImageTowerEpochs = 20;
constexpr char kDefaultMethod[] = "coop";
constexpr double kMostInverseRegularization = 1e12;
constexpr size_t kMethodNameBytes = 64;  // of an unknown one, for its nearest

class Resolver {
 public:
  Resolver(const Backend& backend, const std::string& tenant,
           const v1::TrainingSpec& asked)
      : backend_(backend), tenant_(tenant), asked_(asked) {}

  absl::StatusOr<ResolvedSpec> Run() {
    Names();
    Method();
    CheckUnusedFields(*method_, asked_, &violations_);
    ClassSource();
    Numbers();
    spec_.templates =
        ResolveTemplates(asked_.templates(), backend_.limits, &violations_);
    const absl::Status encoder = Encoder();
    const absl::Status dataset = Dataset();
    // What is wrong with the store itself is not the client's mistake.
    if (!dataset.ok() && dataset.code() != absl::StatusCode::kNotFound) {
      return dataset;
    }
    if (dataset_) Shots();
    absl::Status checkpoint;
    if (encoder_ && method_->context) {
      checkpoint = ResolveContext(backend_, tenant_, asked_, *encoder_,
                                  class_names_, &spec_, &violations_);
      if (!checkpoint.ok() && !absl::IsNotFound(checkpoint)) return checkpoint;
    }
    if (violations_.empty()) {
      if (!encoder.ok()) return encoder;
      if (!dataset.ok()) return dataset;
      if (!checkpoint.ok()) return checkpoint;
      return ResolvedSpec{std::move(spec_), std::move(class_names_)};
    }
    if (!encoder.ok()) Violate("encoder", std::string(encoder.message()));
    if (!dataset.ok()) Violate("dataset", std::string(dataset.message()));
    if (!checkpoint.ok()) {
      Violate("initial_checkpoint", std::string(checkpoint.message()));
    }
    return InvalidFields("INVALID_SPEC", violations_);
  }

 private:
  void Violate(const std::string& field, const std::string& description) {
    violations_.push_back({absl::StrCat("spec.", field), description});
  }

  void Names() {
    spec_.task = asked_.task();
    if (!registry::IsValidName(spec_.task)) {
      Violate("task",
              spec_.task.empty()
                  ? "is required: the name of the task, e.g. \"pets\""
                  : "must be 1 to 63 of a-z, 0-9, \".\", \"_\", \"-\" and "
                    "start with a letter or digit");
    }
    spec_.dataset = asked_.dataset();
  }

  void Method() {
    spec_.method = asked_.method().empty() ? kDefaultMethod : asked_.method();
    if (const MethodTraits* found = FindMethod(spec_.method)) {
      method_ = found;
    } else {
      const std::string nearest = NearestName(
          TruncateUtf8(spec_.method, kMethodNameBytes), MethodNames());
      Violate("method",
              absl::StrCat("is not known: ",
                           nearest.empty() ? ""
                                           : absl::StrCat("did you mean \"",
                                                          nearest, "\"? "),
                           "there are ", absl::StrJoin(MethodNames(), ", ")));
    }
    spec_.class_specific = method_->class_specific && asked_.class_specific();
    if (method_->text_templates) {
      spec_.text_templates = ResolveTextTemplates(
          asked_.text_templates(), backend_.limits, &violations_);
    }
    if (method_->regularized && asked_.has_inverse_regularization()) {
      spec_.inverse_regularization =
          Real("inverse_regularization", true, asked_.inverse_regularization(),
               0, kMostInverseRegularization, false);
    }
  }

  // Epochs of 0 apply the initial context as it is.
  bool Applies() const {
    return method_->context && asked_.has_epochs() && asked_.epochs() == 0;
  }

  // What the classes come from: a dataset or, only to apply a context to them,
  // a list.
  void ClassSource() {
    const bool listed = asked_.class_names_size() > 0;
    if (spec_.dataset.empty() && !listed) {
      Violate("dataset",
              Applies() ? "or class_names is required: the classes to apply "
                          "the context to"
                        : "is required: the name of a pushed dataset");
    }
    if (!listed) return;
    if (!spec_.dataset.empty()) {
      Violate("class_names", "and dataset are two lists of classes: give one");
    } else if (!Applies()) {
      Violate("class_names",
              "are for epochs = 0 only: there is nothing to learn from");
    } else {
      ListedClasses();
    }
  }

  void ListedClasses() {
    if (asked_.class_subset() != v1::CLASS_SUBSET_UNSPECIFIED &&
        asked_.class_subset() != v1::CLASS_SUBSET_ALL) {
      Violate("class_subset", "is for datasets: list the classes themselves");
    }
    datasets::ManifestLimits limits;
    limits.max_classes = backend_.limits.max_classes;
    limits.max_name_bytes = backend_.limits.max_label_bytes;
    std::vector<std::string> names(asked_.class_names().begin(),
                                   asked_.class_names().end());
    const absl::Status valid = datasets::ValidateClassNames(names, limits);
    for (const FieldViolation& problem : ErrorFields(valid)) {
      Violate(problem.field, problem.description);
    }
    if (!valid.ok()) return;
    spec_.class_names = names;
    class_names_ = std::move(names);
  }

  // Shots and epochs of a job that only applies a context.
  void NothingToLearn() {
    spec_.shots = 0;
    if (asked_.has_shots() && asked_.shots() != 0) {
      Violate("shots",
              "must be 0 or unset with epochs = 0: no image is "
              "learned from");
    }
    if (!asked_.has_initial_version() && !asked_.has_initial_checkpoint() &&
        asked_.initial_context_digest().empty()) {
      Violate("epochs",
              "is 0, which applies a context as it is: give "
              "initial_version, initial_checkpoint, or "
              "initial_context_digest of an uploaded one");
    }
  }

  int Whole(const char* field, bool set, int64_t value, int64_t otherwise,
            int64_t least, int64_t most) {
    if (!set) return static_cast<int>(otherwise);
    if (value < least || value > most) {
      Violate(field,
              absl::StrCat("is ", value, ", must be ", least, " to ", most));
      return static_cast<int>(otherwise);
    }
    return static_cast<int>(value);
  }

  // A number in (0, most] or [0, most].
  double Real(const char* field, bool set, double value, double otherwise,
              double most, bool zero) {
    if (!set) return otherwise;
    if (!std::isfinite(value) || value < 0 || value > most ||
        (value == 0 && !zero)) {
      Violate(field, absl::StrCat("is ", value, ", must be ",
                                  zero ? "0 or more" : "more than 0",
                                  " and at most ", most));
      return otherwise;
    }
    return value;
  }

  // What a method has no use for is 0.
  void Numbers() {
    spec_.shots = spec_.context_tokens = spec_.epochs = spec_.batch_size = 0;
    spec_.learning_rate = spec_.momentum = spec_.weight_decay = 0;
    spec_.warmup_epochs = 0;
    spec_.warmup_learning_rate = 0;
    spec_.seed = 0;
    if (Applies()) {
      NothingToLearn();
    } else if (method_->shots) {
      spec_.shots = Whole("shots", asked_.has_shots(), asked_.shots(), 16, 1,
                          backend_.limits.max_shots);
    }
    if (method_->shots) {
      spec_.seed = asked_.has_seed() ? asked_.seed() : 1;
      if (spec_.seed < 0) {
        Violate("seed", absl::StrCat("is ", spec_.seed, ", must be 0 or more"));
      }
    }
    if (method_->steps) Steps();
  }

  void Steps() {
    const Limits& limits = backend_.limits;
    spec_.epochs = Whole(
        "epochs", asked_.has_epochs(), asked_.epochs(),
        method_->image_tower ? kImageTowerEpochs : DefaultEpochs(spec_.shots),
        method_->context ? 0 : 1, limits.max_epochs);
    spec_.batch_size = Whole("batch_size", asked_.has_batch_size(),
                             asked_.batch_size(), 32, 1, limits.max_batch_size);
    spec_.warmup_epochs = Whole("warmup_epochs", asked_.has_warmup_epochs(),
                                asked_.warmup_epochs(),
                                std::min(1, spec_.epochs), 0, spec_.epochs);
    spec_.momentum = Real("momentum", asked_.has_momentum(), asked_.momentum(),
                          0.9, 0.9999, true);
    spec_.weight_decay = Real("weight_decay", asked_.has_weight_decay(),
                              asked_.weight_decay(), 5e-4, 1, true);
    spec_.warmup_learning_rate =
        Real("warmup_learning_rate", asked_.has_warmup_learning_rate(),
             asked_.warmup_learning_rate(), 1e-5, 10, true);
    spec_.learning_rate =
        Real("learning_rate", asked_.has_learning_rate(),
             asked_.learning_rate(), DefaultLearningRate(), 10, false);
    spec_.views = Whole("views", asked_.has_views(), asked_.views(), 1, 0,
                        limits.max_views);
    ResolveChoice(asked_.selection(), "selection", &spec_.selection,
                  &violations_);
    if (method_->image_tower && spec_.selection == Selection::kBestValidation) {
      Violate("selection",
              absl::StrCat("must be last_step: ", method_->name,
                           " would encode the validation images anew after "
                           "every epoch"));
    }
  }

  double DefaultLearningRate() const {
    return method_->image_tower ? kImageTowerLearningRate : kPaperLearningRate;
  }

  absl::Status Encoder() {
    auto encoder = FindEncoder(backend_, asked_.encoder());
    if (!encoder.ok()) return encoder.status();
    encoder_ = *std::move(encoder);
    spec_.encoder = encoder_->name;
    spec_.encoder_digest = encoder_->digest;
    if (method_->steps && !asked_.has_learning_rate() &&
        encoder_->logit_scale > 0) {
      spec_.learning_rate =
          DefaultLearningRate() * kPaperLogitScale / encoder_->logit_scale;
    }
    return absl::OkStatus();
  }

  absl::Status Dataset() {
    if (spec_.dataset.empty()) return absl::OkStatus();
    auto dataset = backend_.registry->datasets().Get(tenant_, spec_.dataset);
    if (!dataset.ok()) return dataset.status();
    dataset_ = *std::move(dataset);
    spec_.dataset_digest = dataset_->digest;
    Classes();
    return absl::OkStatus();
  }

  // The dataset's classes that take part.
  void Classes() {
    ResolveChoice(asked_.class_subset(), "class_subset", &spec_.class_subset,
                  &violations_);
    const auto& names = dataset_->class_names;
    classes_ =
        datasets::RangeOf(spec_.class_subset, static_cast<int>(names.size()));
    if (classes_.count == 0) {
      Violate("class_subset", "is empty: the dataset has one class only");
    }
    class_names_.assign(names.begin() + classes_.first,
                        names.begin() + classes_.first + classes_.count);
  }

  void Shots() {
    std::vector<int64_t> train(dataset_->class_names.size(), 0);
    for (const registry::SplitCount& split : dataset_->splits) {
      if (split.split == "train") train = split.images_per_class;
    }
    const int64_t validation = ImagesIn(*dataset_, "val", classes_);
    const int64_t scored = ImagesIn(*dataset_, "test", classes_) + validation;
    if (spec_.selection == Selection::kBestValidation && validation == 0) {
      Violate("selection",
              "is best_validation, but the dataset has no validation images of "
              "these classes: push it again with a val/ folder, or use "
              "last_step");
    }
    if (method_->regularized && spec_.inverse_regularization == 0 &&
        validation == 0) {
      Violate("inverse_regularization",
              "is unset, and the dataset has no validation images of these "
              "classes to choose it by: set it, or push the dataset again with "
              "a val/ folder");
    }
    if (scored == 0) {
      Violate("dataset",
              "has neither test nor validation images, so the result could "
              "not be measured: push it again with a test/ or val/ folder");
    }
    std::vector<std::string> few;
    int64_t most = spec_.shots;
    for (int i = classes_.first; i < classes_.first + classes_.count; ++i) {
      if (train[i] >= spec_.shots) continue;
      most = std::min(most, train[i]);
      few.push_back(
          absl::StrCat("\"", dataset_->class_names[i], "\" ", train[i]));
    }
    if (few.empty()) return;
    const std::string list = JoinSome(few);
    Violate("shots",
            absl::StrCat(
                spec_.shots, " training images per class were asked for, but ",
                few.size(), " of ", classes_.count,
                few.size() == 1 ? " classes has" : " classes have",
                " fewer: ", list, ". Add images",
                most > 0 ? absl::StrCat(" or ask for at most ", most, " shots")
                         : " to the empty ones or leave them out"));
  }

  const Backend& backend_;
  const std::string& tenant_;
  const v1::TrainingSpec& asked_;
  worker::TrainingSpec spec_;
  // The one asked for; the default one's traits when there is none such.
  const MethodTraits* method_ = FindMethod(kDefaultMethod);
  std::optional<worker::EncoderDescription> encoder_;
  std::optional<registry::Dataset> dataset_;
  datasets::ClassRange classes_;
  std::vector<std::string> class_names_;  // of those
  std::vector<FieldViolation> violations_;
};

}  // namespace

int DefaultEpochs(int shots) {
  if (shots <= 1) return 50;
  return shots <= 4 ? 100 : 200;
}

absl::StatusOr<worker::EncoderDescription> FindEncoder(
    const Backend& backend, const std::string& name) {
  std::vector<worker::EncoderDescription> encoders =
      backend.executor->Encoders();
  std::string wanted = name.empty() ? backend.default_encoder : name;
  if (wanted.empty() && !encoders.empty()) wanted = encoders.front().name;
  std::vector<std::string> names;
  for (worker::EncoderDescription& encoder : encoders) {
    if (encoder.name == wanted) return std::move(encoder);
    names.push_back(absl::StrCat("\"", encoder.name, "\""));
  }
  return MakeError(
      absl::StatusCode::kNotFound, "ENCODER_NOT_FOUND",
      absl::StrCat("no encoder \"", wanted, "\": this server has ",
                   names.empty() ? "none" : absl::StrJoin(names, ", ")));
}

absl::StatusOr<ResolvedSpec> ResolveSpec(const Backend& backend,
                                         const std::string& tenant,
                                         const v1::TrainingSpec& asked) {
  return Resolver(backend, tenant, asked).Run();
}

}  // namespace promptd::server
