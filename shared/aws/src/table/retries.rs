//! Which refusals pass by themselves, besides those that the SDK knows.

use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::CancellationReason;

/// Another transaction holds the item for a moment: it says so by a 400, which the SDK's own rules take for final.
#[derive(Debug)]
pub(super) struct Conflicting;

impl ClassifyRetry for Conflicting {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let code = context.output_or_error().and_then(Result::err).and_then(|error| {
            let error = error.as_operation_error()?;
            error
                .downcast_ref::<PutItemError>()
                .map(ProvideErrorMetadata::code)
                .or_else(|| error.downcast_ref::<UpdateItemError>().map(ProvideErrorMetadata::code))
                .or_else(|| error.downcast_ref::<TransactWriteItemsError>().map(transaction))?
        });
        match code {
            Some("TransactionConflictException" | "TransactionInProgressException") => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "another transaction on the item"
    }
}

/// The code of the refusal, or of what cancelled the transaction if that passes: as long as no condition failed, a
/// conflict with another transaction does.
fn transaction(error: &TransactWriteItemsError) -> Option<&str> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else { return error.code() };
    let codes = || cancelled.cancellation_reasons().iter().filter_map(CancellationReason::code);
    let passes = |code| matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded");
    let refused = codes().any(|code| code != "None" && !passes(code));
    (!refused && codes().any(passes)).then_some("TransactionConflictException")
}
