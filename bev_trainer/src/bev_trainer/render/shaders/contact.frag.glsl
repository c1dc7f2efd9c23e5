layout(location = 0) out vec4 out_color;
in vec2 f_place;
flat in vec3 f_half;
in vec3 f_local;
// Multiplies: the sky that a body hides from the ground around and under it.
void main() {
    vec2 outside = max(abs(f_place) - f_half.xy + 0.18, 0.0);
    float share = clamp(1.0 - length(outside) / (f_half.z + 0.18), 0.0, 1.0);
    // Light that haze adds on the way is not hidden.
    float clear = 1.0 - haze_share(distance(f_local, eye.xyz));
    out_color = vec4(vec3(1.0 - 0.62 * share * share * clear), 1.0);
}
