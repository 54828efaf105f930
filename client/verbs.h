// The verbs of promptctl: each function adds one noun (or short verb) to the
// command line. Parsing only fills options and sets `*chosen`; nothing runs
// before the whole line is accepted.
#pragma once

#include <functional>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "client/session.h"

namespace promptd::client {

// What the parsed command line asks for.
using Action = std::function<absl::Status(Session&)>;

void AddStatusVerb(CLI::App& app, Action* chosen);
void AddEncoderVerbs(CLI::App& app, Action* chosen);
void AddDatasetVerbs(CLI::App& app, Action* chosen);
void AddTrainVerb(CLI::App& app, Action* chosen);
void AddJobVerbs(CLI::App& app, Action* chosen);
void AddEvalVerb(CLI::App& app, Action* chosen);
void AddEvaluationVerbs(CLI::App& app, Action* chosen);
void AddExperimentVerbs(CLI::App& app, Action* chosen);
void AddClassifyVerb(CLI::App& app, Action* chosen);
void AddEmbedVerbs(CLI::App& app, Action* chosen);
void AddTaskVerbs(CLI::App& app, Action* chosen);
void AddVersionVerbs(CLI::App& app, Action* chosen);
void AddAliasVerbs(CLI::App& app, Action* chosen);
void AddGcVerb(CLI::App& app, Action* chosen);
void AddDemoVerb(CLI::App& app, Action* chosen);

// Verbs of "dataset" and "encoder" with files of their own.
void AddDatasetImport(CLI::App* noun, Action* chosen);
void AddEncoderVerify(CLI::App* noun, Action* chosen);
void AddEncoderRemove(CLI::App* noun, Action* chosen);

// Verbs of "version" with files of their own.
void AddVersionCare(CLI::App* noun, Action* chosen);
void AddVersionInterpret(CLI::App* noun, Action* chosen);
// Verbs of "task" and "version" that apply contexts.
void AddTaskCreate(CLI::App* noun, Action* chosen);
void AddVersionImport(CLI::App* noun, Action* chosen);

// Verbs of "job" with a file of their own.
void AddJobCare(CLI::App* noun, Action* chosen);

// A noun that needs a verb, e.g. "dataset".
CLI::App* AddNoun(CLI::App& app, const std::string& name,
                  const std::string& description);

// INVALID_ARGUMENT (USAGE) with `message`.
absl::Status UsageError(absl::string_view message);

}  // namespace promptd::client
