//! Maps: their children run side by side, and the first that fails fails the map.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::{
    Failure, Run, Step,
    paths::{Scope, template},
    text,
};

/// How many children of an inline map run at once where nothing is said.
const INLINE_WIDTH: usize = 40;

impl Step<'_> {
    /// One try of a map: the outputs of its children, in order.
    pub(super) async fn map(&self, input: &Value) -> Result<Value, Failure> {
        let distributed = self.body["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED";
        let items = self.items(input).await?;
        let width = match self.body["MaxConcurrency"].as_u64() {
            None | Some(0) => INLINE_WIDTH,
            Some(width) => usize::try_from(width).unwrap_or(usize::MAX),
        };
        let children = items.into_iter().enumerate().map(|(index, item)| async move {
            let mut context = self.context.clone();
            context["Map"] = json!({ "Item": { "Index": index, "Value": item } });
            let child_input = match &self.body["ItemSelector"] {
                Value::Null => item,
                selector => template(selector, &Scope { state: self.name, data: input, context: &context }),
            };
            if distributed {
                // A child is an execution of its own, and knows nothing of the map.
                let name = format!("{}-{index}", text(&context["Execution"]["Name"]));
                context = json!({ "Execution": { "Id": name, "Name": name, "Input": child_input } });
            }
            let run = Run { services: self.services, machine: &self.body["ItemProcessor"] };
            run.states(child_input, context).await.map(|output| (index, output))
        });
        // The rest of the children are dropped with the first that fails, as Step Functions stops them.
        let children: Vec<_> = children.collect();
        let ended: Result<Vec<_>, Failure> = stream::iter(children).buffer_unordered(width).try_collect().await;
        let mut outputs = ended.map_err(|failure| if distributed { exceeded(&failure) } else { failure })?;
        outputs.sort_by_key(|(index, _)| *index);
        Ok(outputs.into_iter().map(|(_, output)| output).collect())
    }

    async fn items(&self, input: &Value) -> Result<Vec<Value>, Failure> {
        let scope = Scope { state: self.name, data: input, context: &self.context };
        let reader = &self.body["ItemReader"];
        if reader.is_null() {
            let items = scope.find(self.body["ItemsPath"].as_str().unwrap_or("$"));
            let Value::Array(items) = items else { panic!("state {}: {items} are no items", self.name) };
            return Ok(items);
        }
        let unreadable = |reason: String| Failure::new("States.ItemReaderFailed", reason);
        let place = template(&reader["Parameters"], &scope);
        let read = self.services.object(text(&place["Bucket"]), text(&place["Key"])).await;
        let bytes = read.map_err(|failure| unreadable(failure.cause))?;
        serde_json::from_slice(&bytes).map_err(|error| unreadable(format!("{place} is no array: {error}")))
    }
}

/// What the map run of a distributed map says of a child that failed: not how.
fn exceeded(failure: &Failure) -> Failure {
    let cause = format!("The specified tolerated failure threshold was exceeded ({} of a child)", failure.error);
    Failure::new("States.ExceedToleratedFailureThreshold", cause)
}
