//! A batch on its way through the ledger: the functions, called as the state machines call them.

use std::{future::Future, sync::Arc};

use futures::{StreamExt, stream};
use ledger::{
    LedgerError, Partition, apply_partition, backlog, batch_registrar_placeholder,
};
