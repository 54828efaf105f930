// promptctl dataset push|list|show|delete, and import elsewhere
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/dataset_view.h"
#include "client/job_view.h"
#include "client/paging.h"
#include "client/proto_json.h"
#include "client/push.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "common/status_macros.h"
#include "promptd/v1/dataset.grpc.pb.h"

namespace promptd::client {
namespace {

std::string DatasetText(const v1::Dataset& dataset, absl::Time now) {
  std::string out =
      KeyValues({{"dataset", dataset.name()},
                 {"digest", dataset.digest()},
                 {"size", Bytes(dataset.total_bytes())},
                 {"created", Ago(ToTime(dataset.create_time()), now)}});
  Table table({"CLASS", "TRAIN", "VAL", "TEST"});
  for (int i = 0; i < dataset.class_names_size(); ++i) {
    std::string cells[3] = {"0", "0", "0"};
    for (const auto& count : dataset.splits()) {
      const int column = static_cast<int>(count.split()) - 1;
      if (column < 0 || column > 2 || i >= count.images_per_class_size()) {
        continue;
      }
      cells[column] = absl::StrCat(count.images_per_class(i));
    }
    table.Add({dataset.class_names(i), cells[0], cells[1], cells[2]});
  }
  return out + "\n" + table.ToString();
}

absl::Status Push(Session& session, const std::string& folder,
                  const std::string& name) {
  ASSIGN_OR_RETURN(const PushOutcome outcome,
                   PushFolder(session, folder, name));
  if (session.console.json()) {
    session.console.Json(ToJson(outcome));
  } else {
    session.console.out() << DatasetTable({outcome.dataset},
                                          session.clock.Now());
    session.console.Note(absl::StrCat("next     promptctl train ",
                                      outcome.dataset.name(), " --wait"));
  }
  return absl::OkStatus();
}

absl::Status List(Session& session) {
  ASSIGN_OR_RETURN(
      const std::vector<v1::Dataset> datasets,
      AllPages<v1::Dataset>(
          [&session](const std::string& token) {
            v1::ListDatasetsRequest request;
            request.set_page_token(token);
            return session.api.Call(&v1::DatasetService::Stub::ListDatasets,
                                    request);
          },
          [](const auto& reply) -> auto& { return reply.datasets(); }));
  if (session.console.json()) {
    nlohmann::json json = nlohmann::json::array();
    for (const v1::Dataset& dataset : datasets) json.push_back(ToJson(dataset));
    session.console.Json(json);
  } else {
    session.console.out() << DatasetTable(datasets, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status Show(Session& session, const std::string& name) {
  v1::GetDatasetRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(
      const v1::Dataset dataset,
      session.api.Call(&v1::DatasetService::Stub::GetDataset, request));
  if (session.console.json()) {
    session.console.Json(ToJson(dataset));
  } else {
    session.console.out() << DatasetText(dataset, session.clock.Now());
  }
  return absl::OkStatus();
}

absl::Status Delete(Session& session, const std::string& name) {
  v1::DeleteDatasetRequest request;
  request.set_name(name);
  RETURN_IF_ERROR(
      session.api.Call(&v1::DatasetService::Stub::DeleteDataset, request)
          .status());
  if (session.console.json()) {
    session.console.Json({{"deleted", name}});
  } else {
    session.console.Note(absl::StrCat("deleted  ", Printable(name)));
  }
  return absl::OkStatus();
}

void AddNamed(CLI::App* noun, const char* verb, const char* description,
              absl::Status (*run)(Session&, const std::string&),
              Action* chosen) {
  CLI::App* app = noun->add_subcommand(verb, description);
  auto name = std::make_shared<std::string>();
  app->add_option("name", *name, "The dataset's name")->required();
  app->footer(absl::StrCat("Example:\n  promptctl dataset ", verb, " pets"));
  app->callback([chosen, name, run] {
    *chosen = [name, run](Session& session) { return run(session, *name); };
  });
}

}  // namespace

void AddDatasetVerbs(CLI::App& app, Action* chosen) {
  CLI::App* noun = AddNoun(app, "dataset", "Labelled images on the server");
  CLI::App* push = noun->add_subcommand(
      "push", "Upload a folder of images, one sub-folder a class");
  auto folder = std::make_shared<std::string>();
  auto name = std::make_shared<std::string>();
  push->add_option("folder", *folder,
                   "DIR/<class>/* or DIR/{train,val,test}/<class>/*")
      ->required();
  push->add_option("--name,-n", *name,
                   "Name on the server; the folder's own name by default");
  push->footer(
      "Only images that the server does not hold yet are sent.\n\n"
      "Examples:\n  promptctl dataset push ./pets\n"
      "  promptctl dataset push ~/photos/2026 --name holidays");
  push->callback([chosen, folder, name] {
    *chosen = [folder, name](Session& session) {
      return Push(session, *folder, *name);
    };
  });
  AddDatasetImport(noun, chosen);
  CLI::App* list = noun->add_subcommand("list", "All datasets");
  list->callback([chosen] { *chosen = List; });
  AddNamed(noun, "show", "Classes and images of one dataset", Show, chosen);
  AddNamed(noun, "delete", "Delete a dataset that no job needs", Delete,
           chosen);
}

}  // namespace promptd::client
