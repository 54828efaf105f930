#include "server/multi_classify.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "server/convert_classify.h"
#include "server/item_checks.h"
#include "server/top_k.h"
#include "server/version_pins.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

constexpr char kInvalidRequest[] = "INVALID_CLASSIFY_REQUEST";

// The tasks of one image tower, by place in the request, and their call. The
// call's heads and the tasks are in the same order.
struct Group {
  std::vector<int> tasks;
  worker::ClassifyCall call;
};

// Not the task's fault, and not for ever.
bool ConcernsTheCall(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsUnavailable(status);
}

absl::Status Check(const Limits& limits,
                   const v1::MultiClassifyRequest& request) {
  std::vector<FieldViolation> violations;
  CheckImages(limits, request, &violations);
  CheckItemCount("tasks", request.tasks_size(), limits.max_tasks_per_call,
                 &violations);
  if (request.tasks_size() <= limits.max_tasks_per_call) {
    for (int i = 0; i < request.tasks_size(); ++i) {
      const std::string field = absl::StrCat("tasks[", i, "]");
      if (request.tasks(i).task().empty()) {
        violations.push_back(
            {field + ".task", "is required: the name of a task"});
      }
      CheckTopK(field + ".top_k", request.tasks(i).top_k(), &violations);
    }
  }
  if (violations.empty()) return absl::OkStatus();
  return InvalidFields(kInvalidRequest, violations);
}

class Run : public std::enable_shared_from_this<Run> {
 public:
  Run(const Backend& backend, std::shared_ptr<Call> call, absl::Time deadline,
      const v1::MultiClassifyRequest& request, v1::MultiClassifyResponse* reply,
      Rpc::Done done)
      : backend_(backend),
        call_(std::move(call)),
        deadline_(deadline),
        request_(request),
        reply_(reply),
        done_(std::move(done)) {}

  void Start() {
    absl::Status prepared = Check(backend_.limits, request_);
    if (prepared.ok()) prepared = Pin();
    if (!prepared.ok() || groups_.empty()) return done_(prepared);
    {
      absl::MutexLock lock(&mutex_);
      waiting_ = groups_.size();
    }
    for (auto& [towers, group] : groups_) Send(towers.first, &group);
  }

 private:
  // Fills what is known of each task, and groups those that can be asked.
  absl::Status Pin() {
    reply_->set_request_id(call_->request_id());
    pins_.resize(static_cast<size_t>(request_.tasks_size()));
    reply_->mutable_tasks()->Reserve(request_.tasks_size());
    int64_t scores = 0;
    for (int i = 0; i < request_.tasks_size(); ++i) {
      const v1::TaskChoice& choice = request_.tasks(i);
      v1::TaskResult* result = reply_->add_tasks();
      result->set_task(choice.task());
      const absl::StatusOr<VersionPin> pin =
          backend_.pins->Select(call_->principal().tenant, choice);
      if (!pin.ok()) {
        if (ConcernsTheCall(pin.status())) return pin.status();
        SetItemError(pin.status(), result);
        continue;
      }
      const VersionPin& version = pins_[i] = *pin;
      result->set_version(version->version);
      result->set_version_digest(version->digest);
      result->set_encoder_digest(version->encoder_digest);
      const int top_k =
          EffectiveTopK(choice.top_k(), version->class_names.size());
      scores += int64_t{top_k} *
                (request_.images_size() + request_.image_digests_size());
      Group& group = groups_[{version->encoder_digest, version->image_tower}];
      group.tasks.push_back(i);
      group.call.heads.push_back(
          {{.features_digest = version->features_digest}, top_k});
    }
    if (scores <= backend_.limits.max_scores_per_call) return absl::OkStatus();
    return InvalidFields(
        kInvalidRequest,
        {{"tasks", absl::StrCat("ask for ", scores, " scores, at most ",
                                backend_.limits.max_scores_per_call,
                                " are given: lower top_k, or send fewer tasks "
                                "or images a call")}});
  }

  void Send(const std::string& encoder, Group* group) {
    worker::ClassifyCall& work = group->call;
    work.tenant = call_->principal().tenant;
    work.encoder_digest = encoder;
    SetImages(request_, &work);
    work.deadline = deadline_;
    work.cancelled = call_->CancelledFunction();
    backend_.executor->Classify(
        std::move(work),
        [self = shared_from_this(),
         group](const absl::StatusOr<worker::ClassifyOutcome>& outcome) {
          self->Answered(Guarded(*self->call_,
                                 [&] { return self->Fill(*group, outcome); }));
        });
  }

  absl::Status Fill(const Group& group,
                    const absl::StatusOr<worker::ClassifyOutcome>& outcome) {
    if (!outcome.ok() && ConcernsTheCall(outcome.status())) {
      return outcome.status();
    }
    absl::MutexLock lock(&mutex_);
    for (size_t head = 0; head < group.tasks.size(); ++head) {
      const int task = group.tasks[head];
      v1::TaskResult* result = reply_->mutable_tasks(task);
      const absl::Status& status =
          outcome.ok() ? outcome->heads.at(head) : outcome.status();
      if (!status.ok()) {
        SetItemError(NameDamage(status, request_.tasks(task).task(),
                                pins_[task]->version),
                     result);
        continue;
      }
      RETURN_IF_ERROR(FillResults(outcome->images, head,
                                  pins_[task]->class_names,
                                  result->mutable_results()));
      SetTemperature(*outcome, head, result);
    }
    if (outcome.ok()) MergeTimings(*outcome, reply_->mutable_timings());
    return absl::OkStatus();
  }

  // The last group answers the call.
  void Answered(const absl::Status& status) {
    absl::Status last;
    {
      absl::MutexLock lock(&mutex_);
      status_.Update(status);
      if (--waiting_ > 0) return;
      last = status_;
    }
    done_(last);
  }

  const Backend& backend_;
  const std::shared_ptr<Call> call_;
  const absl::Time deadline_;
  const v1::MultiClassifyRequest& request_;
  v1::MultiClassifyResponse* const reply_;
  const Rpc::Done done_;
  std::vector<VersionPin> pins_;  // by task; null: it has none
  std::map<std::pair<std::string, std::string>, Group>
      groups_;  // by encoder and tower
  absl::Mutex mutex_;
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

void MultiClassify(const Backend& backend, const std::shared_ptr<Call>& call,
                   absl::Time deadline, const v1::MultiClassifyRequest& request,
                   v1::MultiClassifyResponse* reply, const Rpc::Done& done) {
  std::make_shared<Run>(backend, call, deadline, request, reply, done)->Start();
}

}  // namespace promptd::server
