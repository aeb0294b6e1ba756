//! Kubernetes quantities, as far as a node needs them.

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The value of a quantity such as `100m`, `1.5` or `64Mi`, in thousandths.
pub fn thousandths(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction: String = fraction.chars().take(9).collect();
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (factor, divisor) = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        "Ti" => (1_000 << 40, 1),
        _ => return None,
    };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value = digits.checked_mul(factor)? / (divisor * scale);
    Some(if negative { -value } else { value })
}

/// The value of `resourceFieldRef`: a limit or request divided by the divisor, rounded up. Without a limit it is what the machine has.
///
/// # Errors
/// For a resource that is not offered, or a divisor that is none.
pub fn resource_field(container: &Container, resource: &str, divisor: Option<&Quantity>) -> Result<String, String> {
    let (kind, name) = resource.split_once('.').ok_or_else(|| format!("resource {resource:?} is not supported"))?;
    let resources = container.resources.as_ref();
    let given = match kind {
        "limits" => resources.and_then(|all| all.limits.as_ref()).and_then(|all| all.get(name)),
        "requests" => resources.and_then(|all| all.requests.as_ref()).and_then(|all| all.get(name)),
        _ => return Err(format!("resource {resource:?} is not supported")),
    };
    let value = match (given, name) {
        (Some(quantity), _) => thousandths(&quantity.0),
        (None, _) if kind == "requests" => Some(0),
        (None, "cpu") => i128::try_from(processors()).ok().map(|count| count * 1000),
        (None, "memory") => Some(i128::from(memory_bytes()) * 1000),
        (None, _) => Some(0),
    };
    let divisor = divisor.map(|quantity| quantity.0.as_str()).filter(|text| !text.is_empty() && *text != "0").unwrap_or("1");
    match (value, thousandths(divisor)) {
        (Some(value), Some(divisor)) if divisor > 0 => Ok(((value + divisor - 1) / divisor).to_string()),
        _ => Err(format!("resource {resource:?} or its divisor {divisor:?} is not a quantity")),
    }
}

/// Processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory of the machine.
pub fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
