//! Tasks.

use futures::future::{Either, select};
use serde_json::{Value, json};

use super::{
    Failure, Step,
    paths::{Scope, template},
    text,
};

/// Where the ARN of a function has its name.
const FUNCTION: &str = ":function:";
const SERVICE: &str = ":states:::";
/// What the function of a task that waits is called by.
const WAIT_FOR_TOKEN: &str = "lambda:invoke.waitForTaskToken";

impl Step<'_> {
    /// One try of a task.
    pub(super) async fn task(&self, input: &Value) -> Result<Value, Failure> {
        let resource = text(&self.body["Resource"]);
        if let Some((_, function)) = resource.split_once(FUNCTION) {
            return self.services.invoke(function, self.parameters(input, &self.context)).await;
        }
        match resource.split_once(SERVICE) {
            Some((_, WAIT_FOR_TOKEN)) => self.wait_for_token(input).await,
            Some((_, "lambda:invoke")) => {
                let (function, payload) = self.called(self.parameters(input, &self.context));
                let reply = self.services.invoke(&function, payload).await?;
                Ok(json!({ "Payload": reply, "StatusCode": 200 }))
            }
            Some((_, action)) => self.services.call(action, self.parameters(input, &self.context)).await,
            None => panic!("state {}: {resource} is not known here", self.name),
        }
    }

    /// The function is told the token; what it replies is not looked at. The task is done when the token is answered,
    /// even while the function runs, and fails if the function does.
    async fn wait_for_token(&self, input: &Value) -> Result<Value, Failure> {
        let waiting = self.services.wait();
        let mut context = self.context.clone();
        context["Task"] = json!({ "Token": waiting.token });
        let (function, payload) = self.called(self.parameters(input, &context));
        match select(waiting.answer, self.services.invoke(&function, payload)).await {
            Either::Left((answer, _)) => answer,
            Either::Right((Err(failure), _)) => Err(failure),
            Either::Right((Ok(_), answer)) => answer.await,
        }
    }

    /// The function and the payload that the parameters of `lambda:invoke` name.
    fn called(&self, mut parameters: Value) -> (String, Value) {
        let function = text(&parameters["FunctionName"]);
        let function = function.split_once(FUNCTION).map_or(function, |(_, function)| function).to_owned();
        let function = function.trim_end_matches(":$LATEST").to_owned();
        (function, parameters["Payload"].take())
    }

    fn parameters(&self, input: &Value, context: &Value) -> Value {
        match &self.body["Parameters"] {
            Value::Null => input.clone(),
            parameters => template(parameters, &Scope { state: self.name, data: input, context }),
        }
    }
}
