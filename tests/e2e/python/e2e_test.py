"""End-to-end tests of the built programs; the parameters are in
promptd_process.py. Run one with e.g. `e2e_test.py CrashCase`."""
import sys
import unittest

from bad_input_cases import BadInputCase
from checkpoint_cases import CheckpointCase
from crash_cases import CrashCase
from dataset_import_cases import DatasetImportCase
from demo_cases import DemoCase
from embed_cases import EmbedCase
from encoder_care_cases import EncoderCareCase
from encoder_cases import EncoderCase
from evaluation_cases import EvaluationCase
from example_cases import ExampleCase
from exchange_cases import ExchangeCase
from experiment_cases import ExperimentCase
from inference_cases import TritonClientCase
from interpret_cases import InterpretCase
from main_job_cases import MainJobCase
from method_cases import MethodCase
from sharing_cases import SharingCase
from worker_cases import WorkerCase

__all__ = ["BadInputCase", "CheckpointCase", "CrashCase", "DatasetImportCase",
           "DemoCase", "EmbedCase", "EncoderCareCase", "EncoderCase",
           "EvaluationCase", "ExampleCase", "ExchangeCase", "ExperimentCase",
           "InterpretCase", "MainJobCase", "MethodCase", "SharingCase",
           "TritonClientCase", "WorkerCase"]

if __name__ == "__main__":
    unittest.main(module=sys.modules["__main__"], verbosity=2)
