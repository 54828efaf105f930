// PromptService's calls that read versions, tag them and tell their lineage.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/status_macros.h"
#include "datasets/name_rules.h"
#include "registry/registry.h"
#include "server/convert_registry.h"
#include "server/paging.h"
#include "server/prompt_service.h"
#include "server/version_selector.h"
#include "store/database.h"
#include "worker/executor.h"

namespace promptd::server {
namespace {

constexpr int kMaxTagFilters = 8;
constexpr size_t kMaxTagBytes = 256;
constexpr char kKeyRule[] =
    "must be 1 to 63 characters of a-z, 0-9, '.', '_', '-' and start with a "
    "letter or digit";

bool IsTagValue(const std::string& value) {
  return value.size() <= kMaxTagBytes && datasets::IsPlainText(value);
}

// "key" or "key=value". INVALID_ARGUMENT (INVALID_TAG).
absl::StatusOr<std::vector<registry::TagFilter>> ToFilters(
    const v1::ListVersionsRequest& request) {
  std::vector<registry::TagFilter> filters;
  std::vector<FieldViolation> violations;
  if (request.tags_size() > kMaxTagFilters) {
    violations.push_back(
        {"tags", absl::StrCat("are ", request.tags_size(), ", at most ",
                              kMaxTagFilters, " are taken")});
  }
  for (int i = 0; i < request.tags_size() && i < kMaxTagFilters; ++i) {
    const std::string& text = request.tags(i);
    const size_t equals = text.find('=');
    registry::TagFilter& filter = filters.emplace_back();
    filter.key = text.substr(0, equals);
    if (equals != std::string::npos) filter.value = text.substr(equals + 1);
    if (!registry::IsValidName(filter.key) ||
        !IsTagValue(filter.value.value_or(""))) {
      violations.push_back(
          {absl::StrCat("tags[", i, "]"),
           absl::StrCat("must be a key or key=value; the key ", kKeyRule)});
    }
  }
  if (violations.empty()) return filters;
  return InvalidFields("INVALID_TAG", violations);
}

absl::Status CheckTags(const v1::ChangeVersionTagsRequest& request) {
  std::vector<FieldViolation> violations;
  for (const auto& [key, value] : request.set()) {
    if (!registry::IsValidName(key)) violations.push_back({"set", kKeyRule});
    if (!IsTagValue(value)) {
      violations.push_back(
          {absl::StrCat("set[", registry::IsValidName(key) ? key : "?", "]"),
           absl::StrCat("must be plain UTF-8 text of at most ", kMaxTagBytes,
                        " bytes")});
    }
  }
  for (const std::string& key : request.remove()) {
    if (!registry::IsValidName(key)) violations.push_back({"remove", kKeyRule});
  }
  if (violations.empty()) return absl::OkStatus();
  return InvalidFields("INVALID_TAG", violations);
}

absl::StatusOr<registry::Origin> ToOrigin(
    const Backend& backend, const std::string& tenant,
    const v1::ListDerivedVersionsRequest& request) {
  registry::Origin origin;
  using Request = v1::ListDerivedVersionsRequest;
  switch (request.origin_case()) {
    case Request::kDataset: {
      ASSIGN_OR_RETURN(
          const registry::Dataset dataset,
          backend.registry->datasets().Get(tenant, request.dataset()));
      origin.dataset_digest = dataset.digest;
      return origin;
    }
    case Request::kDatasetDigest:
      origin.dataset_digest = request.dataset_digest();
      break;
    case Request::kEncoderDigest:
      origin.encoder_digest = request.encoder_digest();
      break;
    case Request::kSource: {
      ASSIGN_OR_RETURN(
          const registry::PromptVersion source,
          SelectVersion(backend.registry->prompts(), tenant, request.source()));
      origin.source_task = source.task;
      origin.source_version = source.version;
      return origin;
    }
    case Request::ORIGIN_NOT_SET:
      break;
  }
  if (!origin.dataset_digest.empty() || !origin.encoder_digest.empty()) {
    return origin;
  }
  return InvalidFields("NO_ORIGIN", {{"origin",
                                      "must name a dataset, an encoder's or "
                                      "dataset's digest, or a version"}});
}

absl::Status FillLineage(const Backend& backend, const std::string& tenant,
                         const v1::GetLineageRequest& request,
                         v1::GetLineageResponse* reply) {
  registry::PromptRegistry& prompts = backend.registry->prompts();
  ASSIGN_OR_RETURN(const registry::PromptVersion version,
                   SelectVersion(prompts, tenant, request));
  RETURN_IF_ERROR(ToProto(version, reply->mutable_version()));
  const absl::Status dataset = backend.db->Read([&](store::Transaction& tx) {
    return backend.registry->datasets().CheckThere(tx, tenant,
                                                   version.dataset_digest);
  });
  if (!dataset.ok() && !absl::IsNotFound(dataset)) return dataset;
  reply->set_dataset_stored(dataset.ok());
  for (const auto& encoder : backend.executor->Encoders()) {
    if (encoder.digest == version.encoder_digest) reply->set_encoder_held(true);
  }
  ASSIGN_OR_RETURN(const std::vector<registry::Ancestor> sources,
                   prompts.Ancestors(tenant, version.task, version.version));
  for (const registry::Ancestor& source : sources) {
    v1::VersionAncestor* item = reply->add_sources();
    item->set_task(source.task);
    item->set_version(source.version);
    item->set_digest(source.digest);
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* PromptServiceImpl::ListVersions(
    grpc::CallbackServerContext* context,
    const v1::ListVersionsRequest* request, v1::ListVersionsResponse* reply) {
  return rpc_.Unary(
      context, "ListVersions",
      [this, request, reply](const Call& call) -> absl::Status {
        ASSIGN_OR_RETURN(const store::PageRequest page,
                         ToPageRequest("ListVersions", *request));
        ASSIGN_OR_RETURN(const std::vector<registry::TagFilter> tags,
                         ToFilters(*request));
        ASSIGN_OR_RETURN(auto versions,
                         prompts().ListVersions(call.principal().tenant,
                                                request->task(), page, tags));
        for (const auto& version : versions.items) {
          v1::PromptVersion* item = reply->add_versions();
          RETURN_IF_ERROR(ToProto(version, item));
          if (item->has_evaluation()) {
            item->mutable_evaluation()->clear_confusion();
          }
        }
        reply->set_next_page_token(
            SealPageToken("ListVersions", versions.next_page_token));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::GetVersion(
    grpc::CallbackServerContext* context, const v1::GetVersionRequest* request,
    v1::PromptVersion* reply) {
  return rpc_.Unary(
      context, "GetVersion",
      [this, request, reply](const Call& call) -> absl::Status {
        const std::string& tenant = call.principal().tenant;
        ASSIGN_OR_RETURN(registry::PromptVersion version,
                         SelectVersion(prompts(), tenant, *request));
        ASSIGN_OR_RETURN(version.tags,
                         prompts().Tags(tenant, version.task, version.version));
        return ToProto(version, reply);
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::ChangeVersionTags(
    grpc::CallbackServerContext* context,
    const v1::ChangeVersionTagsRequest* request,
    v1::ChangeVersionTagsResponse* reply) {
  return rpc_.Unary(
      context, "ChangeVersionTags",
      [this, request, reply](const Call& call) -> absl::Status {
        RETURN_IF_ERROR(CheckTags(*request));
        ASSIGN_OR_RETURN(
            const auto tags,
            prompts().ChangeTags(
                call.principal().tenant, request->task(), request->version(),
                {request->set().begin(), request->set().end()},
                {request->remove().begin(), request->remove().end()}));
        reply->mutable_tags()->insert(tags.begin(), tags.end());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::GetLineage(
    grpc::CallbackServerContext* context, const v1::GetLineageRequest* request,
    v1::GetLineageResponse* reply) {
  return rpc_.Unary(
      context, "GetLineage", [this, request, reply](const Call& call) {
        return FillLineage(backend_, call.principal().tenant, *request, reply);
      });
}

grpc::ServerUnaryReactor* PromptServiceImpl::ListDerivedVersions(
    grpc::CallbackServerContext* context,
    const v1::ListDerivedVersionsRequest* request,
    v1::ListDerivedVersionsResponse* reply) {
  return rpc_.Unary(
      context, "ListDerivedVersions",
      [this, request, reply](const Call& call) -> absl::Status {
        const std::string& tenant = call.principal().tenant;
        ASSIGN_OR_RETURN(const store::PageRequest page,
                         ToPageRequest("ListDerivedVersions", *request));
        ASSIGN_OR_RETURN(const registry::Origin origin,
                         ToOrigin(backend_, tenant, *request));
        ASSIGN_OR_RETURN(const auto versions,
                         prompts().ListDerived(tenant, origin, page));
        for (const auto& version : versions.items) {
          v1::PromptVersion* item = reply->add_versions();
          RETURN_IF_ERROR(ToProto(version, item));
          item->clear_evaluation();
        }
        reply->set_next_page_token(
            SealPageToken("ListDerivedVersions", versions.next_page_token));
        return absl::OkStatus();
      });
}

}  // namespace promptd::server
