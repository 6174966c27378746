# What a step of the kind `terraform` does, on the machine of the run or another.
#
# The rule it keeps: only a plan that was saved and shown is carried out. After an interruption the
# next attempt makes a new plan, from the state as it is by then; one without changes is the end.

# Asked to end, Terraform ends by itself, and saves what it has done by then: this waits for it.
trap 'stopped=yes' TERM INT HUP

cd -- "$SOTER_TERRAFORM_DIRECTORY"
plan=$SOTER_TERRAFORM_ATTEMPT/plan
shown=$SOTER_TERRAFORM_ATTEMPT/evidence/terraform-plan.txt
mkdir -p -- "$SOTER_TERRAFORM_ATTEMPT/evidence"
# A plan holds the values of variables, and some are secret.
umask 077
trap 'rm -f -- "$plan"' EXIT

# Only for this shell: what it calls does not find it.
hidden=${SOTER_TERRAFORM_VARIABLES-}
unset SOTER_TERRAFORM_VARIABLES

say() { printf '\n== %s\n' "$1"; }

prepare() {
  say 'terraform init'
  terraform init -input=false -no-color
}

# 0: nothing to do, 2: changes, else it failed.
plan_it() {
  say "terraform plan $*"
  local code=0
  local options=(-input=false -no-color -lock-timeout=60s -detailed-exitcode -out="$plan")
  if [ -n "$hidden" ]; then
    terraform plan "${options[@]}" "$@" -var-file=<(printf '%s' "$hidden") || code=$?
  else
    terraform plan "${options[@]}" "$@" || code=$?
  fi
  return "$code"
}

[ -d "${TF_DATA_DIR:-.terraform}" ] || prepare
code=0
plan_it "$@" || code=$?
if [ "$code" = 1 ] && [ -z "${stopped:-}" ]; then
  # What was prepared may be for other providers or another backend; this changes no state.
  prepare
  code=0
  plan_it "$@" || code=$?
fi
if [ "$code" != 0 ] && [ "$code" != 2 ]; then
  say 'no plan was made, so nothing was done'
  exit 1
fi
terraform show -no-color "$plan" > "$shown"
if [ -n "${stopped:-}" ]; then
  say 'told to stop before anything was done'
  exit 1
fi
if [ "$code" = 2 ]; then
  say 'terraform apply, exactly that plan'
  terraform apply -input=false -no-color -lock-timeout=60s "$plan"
else
  say 'nothing is to be changed'
fi
for name in $SOTER_TERRAFORM_GIVES; do
  value=$(terraform output -no-color -raw "$name")
  printf '%s=%s\n' "$name" "$value" >> "$SOTER_OUTPUT"
done
