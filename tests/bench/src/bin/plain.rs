//! A plain LwM2M server with its store in a folder, for `load` to be aimed at: `plain FOLDER`
//! prints its address and serves until it is killed.

use std::path::Path;
use std::process::ExitCode;

use tinsmith_bench::serve;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: plain FOLDER");
        return ExitCode::from(2);
    };
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        eprintln!("no runtime");
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let server = serve(Path::new(&folder)).await;
        println!("{}", server.addresses().coap);
        server.stopping().await;
    });
    ExitCode::SUCCESS
}
