// Tasks, versions and aliases as text.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/session.h"
#include "promptd/v1/prompt.pb.h"

namespace promptd::client {

std::string TaskTable(const std::vector<v1::Task>& tasks, absl::Time now);
std::string TaskText(const v1::Task& task, absl::Time now);

std::string VersionTable(const std::vector<v1::PromptVersion>& versions,
                         absl::Time now);
// "env=prod, reviewed" by key; "-" for none.
std::string TagsText(
    const google::protobuf::Map<std::string, std::string>& tags);
// Where a version came from, nearest first.
std::string LineageText(const v1::GetLineageResponse& lineage, absl::Time now);
// Lineage, settings and the evaluation.
std::string VersionText(const v1::PromptVersion& version, absl::Time now);

std::string AliasTable(const std::vector<v1::Alias>& aliases, absl::Time now);
std::string AliasHistoryTable(const std::vector<v1::AliasMove>& moves,
                              absl::Time now);

}  // namespace promptd::client
