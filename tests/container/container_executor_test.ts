import { containerContract } from "../support/container_bench.ts";
import { useDockerEngine } from "../support/container_suite.ts";
import { testExecutorContract } from "../support/executor_contract.ts";

testExecutorContract(containerContract(useDockerEngine()));
