/**
 * Candidates for shell completion at the usual places: each title is a place, and a description
 * follows a tab.
 *
 * Generated from the grammar by `deno task docs`.
 *
 * @module
 */
export const COMPLETION_TABLE = `

# *
-h	
--socket	The runner's socket; by default as configured
--url	A remote runner, with the key in \$CICD_API_KEY; by default \$CICD_URL
--config	The configuration; by default in the usual place
--json	Write JSON; one document a line for lists and streams
--help	

# 
run	Run a job, follow its log, and exit with its exit code
submit	Submit a job and print its id
jobs	List jobs, newest first
show	Show a job: state, reason, attempts, usage, limits
logs	Print a job's log
wait	Wait for jobs to end, and exit with their exit code
events	Print the changes of jobs as they come
artifacts	List or download the artifacts of a job
cancel	Cancel jobs
retry	Run an ended job again
attach	Open a terminal on the worker of a project or in a job, or join one
release	End the hold of a failed job
terminals	List the open terminals, or end one
status	Show the runner, its queue and the running jobs
projects	List projects and their queues
pause	Pause a queue: jobs are accepted but not started
resume	Resume a queue: accept and start jobs
drain	Drain a queue: refuse new jobs, run the accepted ones
top	Watch the machine, its projects and the running jobs
host	Show the machine: what it is, and how busy
usage	Show the tokens and the cost of language models
retention	Show or remove the ended jobs beyond the limits of retention
clean	Clean up after jobs: old jobs, caches, images, repository mirrors
keys	Manage the keys for access to the runner over TCP
doctor	Check this machine and installation for problems
config	Check or show the configuration
install	Install the systemd user units, or bring them up to date
uninstall	Stop the programs and remove their units; jobs go on
upgrade	Upgrade the programs to a newer release; jobs go on
version	Print the version and the build
manual	Print the manual page, for man
daemon	Run the runner itself; every key of the configuration is a flag
agent	Run the agent of one project, as cicd-agent does

# run
-d	Print the job's id and leave
-f	Read the job from YAML or JSON; flags take precedence
-p	The project that the job belongs to
-s	Run the text of a file, by its #! line or else with a shell; - reads standard input
-e	Set a variable of the job; NAME alone passes your value on
-w	Directory to start in; a relative one is below this one, or below the job's workspace
-t	Time limit of an attempt
-l	For your own use; shown and searched, but not interpreted
--detach	Print the job's id and leave
--github	Behave as a step of GitHub Actions; set by itself in one
--file	Read the job from YAML or JSON; flags take precedence
--workspace	Start in a fresh, empty workspace, not here
--project	The project that the job belongs to
--script	Run the text of a file, by its #! line or else with a shell; - reads standard input
--shell	Absolute path of the script's shell; overrides a #! line
--no-errexit	Go on after a failed command of a script, which ends it otherwise (set -e)
--env	Set a variable of the job; NAME alone passes your value on
--secret	A masked variable; SOURCE is file:PATH, env:NAME or - (standard input)
--workdir	Directory to start in; a relative one is below this one, or below the job's workspace
--limit-cpu	CPUs that the job may use, such as 0.5
--limit-memory	Memory the job may use, such as 512M
--limit-tasks	Processes and threads the job may have
--timeout	Time limit of an attempt
--grace	Time between SIGTERM and SIGKILL
--hold-on-failure	Keep the place of the job for so long if it fails, to enter it with attach
--priority	Higher starts earlier, within the project
--group	Only one job of a group runs at a time
--cancel-in-progress	Cancel the open jobs of the group when this one is accepted
--retries	Number of further attempts
--retry-on	Result that is retried; may be repeated: failed, oom_killed, timed_out, lost
--retry-delay	Delay before the second attempt; doubles with each further one
--output	merged: one log in the order of writing; split: separate logs of stdout and stderr
--log-max	Bytes of log that are kept
--label	For your own use; shown and searched, but not interpreted
--traceparent	Trace context to go on, as of W3C Trace Context
--git	Check this repository out first; the URL holds no credentials
--ref	Branch, tag or refs/…; by default the default branch of the remote
--sha	The full id of the commit that must be checked out
--depth	Commits of history, 1 by default; 0: all
--tags	Fetch all tags; by default with depth 0; a tag in ref always comes
--submodules	Check submodules out too
--lfs	Fetch the files of Git LFS
--git-path	Directory of the repository below the workspace
--git-token	Token for the remote, which the job does not get; SOURCE as for --secret
--artifact	Keep these files of the workspace; may be repeated, !GLOB excludes
--artifact-when	After which results: success (default), failure or always
--cache	Keep directories from job to job; the content of FILES, such as package-lock.json, determines the key; separate list entries with commas
--limit-disk	Disk space of a container outside its workspace; with image only
--disk	Disk space of a container outside its workspace; with image only
--image	Run the job in a container of this image
--pull	When the image is fetched: always, missing, never
--network	none, bridge, or a network that is allowed for the project
--entrypoint	job: only the command runs; image: it is passed to the entrypoint of the image
--user	Account in the container; must be allowed for the project
--registry-user	Account that fetches the image
--registry-password	Its password, which the job does not get; SOURCE as for --secret
--mount	A path of the machine, read-only unless it ends in :rw; must be allowed
--cap-add	A capability, such as NET_RAW; all others are dropped; must be allowed
--privileged	Run without isolation; must be allowed for the project
--ulimit	Such as nofile=1024; may be repeated
--shm-size	Size of /dev/shm

# run -p
@projects	

# run --project
@projects	

# submit
-f	Read the job from YAML or JSON; flags take precedence
-p	The project that the job belongs to
-s	Run the text of a file, by its #! line or else with a shell; - reads standard input
-e	Set a variable of the job; NAME alone passes your value on
-w	Directory to start in; a relative one is below this one, or below the job's workspace
-t	Time limit of an attempt
-l	For your own use; shown and searched, but not interpreted
--file	Read the job from YAML or JSON; flags take precedence
--workspace	Start in a fresh, empty workspace, not here
--project	The project that the job belongs to
--script	Run the text of a file, by its #! line or else with a shell; - reads standard input
--shell	Absolute path of the script's shell; overrides a #! line
--no-errexit	Go on after a failed command of a script, which ends it otherwise (set -e)
--env	Set a variable of the job; NAME alone passes your value on
--secret	A masked variable; SOURCE is file:PATH, env:NAME or - (standard input)
--workdir	Directory to start in; a relative one is below this one, or below the job's workspace
--limit-cpu	CPUs that the job may use, such as 0.5
--limit-memory	Memory the job may use, such as 512M
--limit-tasks	Processes and threads the job may have
--timeout	Time limit of an attempt
--grace	Time between SIGTERM and SIGKILL
--hold-on-failure	Keep the place of the job for so long if it fails, to enter it with attach
--priority	Higher starts earlier, within the project
--group	Only one job of a group runs at a time
--cancel-in-progress	Cancel the open jobs of the group when this one is accepted
--retries	Number of further attempts
--retry-on	Result that is retried; may be repeated: failed, oom_killed, timed_out, lost
--retry-delay	Delay before the second attempt; doubles with each further one
--output	merged: one log in the order of writing; split: separate logs of stdout and stderr
--log-max	Bytes of log that are kept
--label	For your own use; shown and searched, but not interpreted
--traceparent	Trace context to go on, as of W3C Trace Context
--git	Check this repository out first; the URL holds no credentials
--ref	Branch, tag or refs/…; by default the default branch of the remote
--sha	The full id of the commit that must be checked out
--depth	Commits of history, 1 by default; 0: all
--tags	Fetch all tags; by default with depth 0; a tag in ref always comes
--submodules	Check submodules out too
--lfs	Fetch the files of Git LFS
--git-path	Directory of the repository below the workspace
--git-token	Token for the remote, which the job does not get; SOURCE as for --secret
--artifact	Keep these files of the workspace; may be repeated, !GLOB excludes
--artifact-when	After which results: success (default), failure or always
--cache	Keep directories from job to job; the content of FILES, such as package-lock.json, determines the key; separate list entries with commas
--limit-disk	Disk space of a container outside its workspace; with image only
--disk	Disk space of a container outside its workspace; with image only
--image	Run the job in a container of this image
--pull	When the image is fetched: always, missing, never
--network	none, bridge, or a network that is allowed for the project
--entrypoint	job: only the command runs; image: it is passed to the entrypoint of the image
--user	Account in the container; must be allowed for the project
--registry-user	Account that fetches the image
--registry-password	Its password, which the job does not get; SOURCE as for --secret
--mount	A path of the machine, read-only unless it ends in :rw; must be allowed
--cap-add	A capability, such as NET_RAW; all others are dropped; must be allowed
--privileged	Run without isolation; must be allowed for the project
--ulimit	Such as nofile=1024; may be repeated
--shm-size	Size of /dev/shm

# submit -p
@projects	

# submit --project
@projects	

# jobs
-p	Only those of this project
-s	Only those in these states, such as queued,running
-l	Only those with this label; repeat it for several
-n	Maximum number of jobs
-a	List all jobs
-w	Update the list until Ctrl-C
--project	Only those of this project
--state	Only those in these states, such as queued,running
--label	Only those with this label; repeat it for several
--limit	Maximum number of jobs
--all	List all jobs
--watch	Update the list until Ctrl-C

# jobs -p
@projects	

# jobs --project
@projects	

# show
@jobs	

# logs
@jobs	
-f	Follow the log until the job has ended
-t	Prefix each line with its time
--follow	Follow the log until the job has ended
--timestamps	Prefix each line with its time
--stream	Only one stream, of a job with split output
--tail	Only the last bytes, such as 10K
--from	Start at this byte of the log

# wait
@jobs	
-t	Maximum time to wait
--timeout	Maximum time to wait

# events
-p	Only those of this project
--since	Start after this change; 0 for all changes on record
--project	Only those of this project

# events -p
@projects	

# events --project
@projects	

# artifacts
@jobs	
-d	Write the files into this directory, which is made if necessary
--download	Write the files into this directory, which is made if necessary
--attempt	The artifacts of an earlier attempt

# cancel
@jobs	
-l	Cancel the open jobs with this label; repeat it for several
-p	With "--label": only jobs of this project
-w	Return when the jobs have ended
--label	Cancel the open jobs with this label; repeat it for several
--project	With "--label": only jobs of this project
--wait	Return when the jobs have ended

# cancel -p
@projects	

# cancel --project
@projects	

# retry
@jobs	
-f	Follow the log of the new attempt and exit with the job's exit code
--secret	One of the job's secrets; SOURCE as for "run"
--follow	Follow the log of the new attempt and exit with the job's exit code

# attach
@projects	
@jobs	
-r	Only watch
--session	Join this terminal, as "terminals" lists it
--read-only	Only watch
--take	Write, even if somebody else does
--record	Record the output, in asciicast v2
--detach-keys	Keys that leave it, such as ctrl-a,d; several are separated by spaces

# release
@jobs	

# terminals
--kill	End this terminal and everything in it

# status
-w	Update it until Ctrl-C
--watch	Update it until Ctrl-C

# projects

# pause
@projects	

# resume
@projects	

# drain
@projects	
-w	Return when no job is queued or running
--wait	Return when no job is queued or running

# top
--once	Print one frame and end
--interval	Time between two frames, from 200ms to 1h

# host
--local	Only what this machine is, without asking the runner

# usage
--days	How many days, today included; default: 30
--prices	Print the prices that the runner knows without a file

# retention
--dry-run	Show what would be removed; the default
--sweep	Remove it now

# clean
--dry-run	Show what would be removed, and remove nothing

# keys
create	Create a key; it is printed once, on standard output
list	List keys, without the keys themselves
rotate	Replace the secret of a key; it is printed once, on standard output
revoke	Revoke a key permanently

# doctor

# config
check	Check the configuration
show	Print every setting in effect and its source

# install
--dry-run	Show what would be done
--no-enable	Install the units but do not enable them
--no-linger	Do not enable lingering
--no-hardening	Leave out the hardening drop-ins
--prefix	Directory whose "bin" holds the programs; by default that of this one
--system	For all users of the machine; needs root
--user	With \`--system\`: the user who runs the runner

# uninstall
--dry-run	Show what would be done
--purge	Remove configuration, job history and logs too, and stop all jobs
--yes	Confirm \`--purge\`
--system	For all users of the machine; needs root
--user	With \`--system\`: the user who runs the runner

# upgrade
--to	This release, even an older one; default: the latest, if it is newer
--check	Only say what there is
--from	Where the release's files are; may contain "{version}"; default: where the installed release came from
--within	Time for the new runner to answer and to take over the jobs; default: "60s"
--recover	Only end an upgrade that was interrupted
--prefix	The installation to upgrade; default: that of this program

# version

# manual

# daemon

# agent

`;
